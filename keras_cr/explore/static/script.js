"use strict";
// Everything the server says goes into the page as text, never as markup.
const $ = (id) => document.getElementById(id);
const body = document.body, stage = $("stage"), cursor = $("cursor"), status = $("status");
// a scale from dark over red to bright yellow that grows evenly in lightness, as in the report
const SCALE = [[0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51],
  [249, 140, 10], [249, 201, 50], [252, 255, 164]];
let query = null; // {query, name, map}
let aimed = null; // [column, row] of the keyboard's place
let asked = 0; // the latest question: answers to earlier ones are dropped
let shown = 0; // images of the collection that were shown before these

function say(text, wrong = false) {
  status.classList.toggle("wrong", wrong);
  status.textContent = text;
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server doesn't answer; is keras-cr explore still running?");
  }
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(told.error || `The server answered ${response.status}.`);
  return told;
}

// Runs one question; of several only the last one changes the page.
async function work(text, question, answered) {
  const number = ++asked;
  body.classList.add("busy");
  say(text);
  try {
    const told = await question();
    if (number === asked) answered(told);
  } catch (error) {
    if (number === asked) say(error.message, true);
  } finally {
    if (number === asked) body.classList.remove("busy");
  }
}

function color(value) {
  const place = Math.min(Math.max(value, 0), 1) * (SCALE.length - 1);
  const low = Math.min(Math.floor(place), SCALE.length - 2);
  return SCALE[low].map((part, i) => part + (place - low) * (SCALE[low + 1][i] - part));
}

function paint(canvas, map) {
  const [rows, columns] = [map.length, map[0].length];
  const small = document.createElement("canvas");
  small.width = columns;
  small.height = rows;
  const pixels = new ImageData(columns, rows);
  map.flat().forEach((value, i) => pixels.data.set([...color(value), 255], 4 * i));
  small.getContext("2d").putImageData(pixels, 0, 0);
  canvas.width = canvas.height = 256;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, 256, 256);
}

function place(mark, x, y, columns) {
  mark.style.left = `${100 * x}%`;
  mark.style.top = `${100 * y}%`;
  mark.style.setProperty("--wide", `${Math.max(180 / columns, 12)}%`);
}

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

// An image of the collection, as a button that makes it the query.
function tile(image) {
  const item = make("li"), button = make("button"), box = make("span", "boxed"), picture = make("img");
  button.type = "button";
  button.title = image.name;
  picture.src = `/images/${image.row}.jpg`;
  picture.alt = image.name;
  picture.loading = "lazy";
  picture.width = picture.height = 160;
  box.append(picture);
  const told = make("span", "told");
  if (image.similarity !== undefined) told.append(make("b", "", image.similarity.toFixed(3)));
  const values = Object.entries(image.metadata || {}).map(([key, value]) => `${key}: ${value}`);
  told.append(make("span", "", image.name.split("/").slice(-2).join("/")));
  values.forEach((value) => told.append(make("span", "", value)));
  if (image.map) {
    const canvas = make("canvas");
    canvas.setAttribute("aria-hidden", "true");
    paint(canvas, image.map);
    box.append(canvas);
    if (image.at) {
      const mark = make("span", "mark");
      place(mark, ...image.at, image.map[0].length);
      box.append(mark);
      const [x, y] = image.at.map((part) => `${Math.round(100 * part)} %`);
      told.append(make("span", "unseen", `, found at ${x} from the left, ${y} from above`));
    }
  }
  button.append(box, told);
  button.addEventListener("click", () => open(`/queries/of/${image.row}`, { method: "POST" }));
  if (image.query_map) { // which places of the query make this one alike
    const canvas = stage.querySelector("canvas");
    for (const on of ["pointerenter", "focus"]) button.addEventListener(on, () => paint(canvas, image.query_map));
    for (const off of ["pointerleave", "blur"]) button.addEventListener(off, () => paint(canvas, query.map));
  }
  item.append(button);
  return item;
}

function found(matches) {
  $("matches").replaceChildren(...matches.map(tile));
  return matches.length === 1 ? "1 image" : `${matches.length} images`;
}

function open(path, options) {
  return work("Looking at the image …", () => ask(path, options), (told) => {
    query = told;
    $("choose").hidden = true;
    $("search").hidden = false;
    $("query-picture").src = `/queries/${query.query}.jpg`;
    $("query-picture").alt = query.name ? `The query, ${query.name}` : "The query, your image";
    $("query-name").textContent = query.name || "Your image";
    paint(stage.querySelector("canvas"), query.map);
    scrollTo({ top: 0 });
    stage.focus({ preventScroll: true });
    whole();
  });
}

function whole() {
  aimed = null;
  cursor.hidden = true;
  $("whole").disabled = true;
  $("found-title").textContent = "Most like the whole image";
  $("found-note").textContent = "The maps show which places make them alike, with cosine similarity "
    + "below. Point at one to see the same on the query; click it to search by it.";
  return work("Searching …", () => ask(`/queries/${query.query}/matches`), (told) =>
    say(`${found(told.matches)} found by the whole image.`));
}

function byPlace(x, y) {
  const columns = query.map[0].length;
  cursor.hidden = false;
  cursor.classList.remove("aimed");
  place(cursor, x, y, columns);
  $("whole").disabled = false;
  $("found-title").textContent = "Most like the place you marked";
  $("found-note").textContent = "The ring marks where it was found; the number is the likeness of "
    + "the two places.";
  return work("Searching by this place …", () => ask(`/queries/${query.query}/matches?x=${x}&y=${y}`),
    (told) => say(`${found(told.matches)} found by this place.`));
}

function cell(column, row) {
  const [rows, columns] = [query.map.length, query.map[0].length];
  aimed = [Math.min(Math.max(column, 0), columns - 1), Math.min(Math.max(row, 0), rows - 1)];
  return [(aimed[0] + 0.5) / columns, (aimed[1] + 0.5) / rows];
}

stage.addEventListener("click", (event) => {
  const box = stage.getBoundingClientRect();
  const [rows, columns] = [query.map.length, query.map[0].length];
  const part = (at, start, size) => (at - start) / size;
  byPlace(...cell(Math.floor(part(event.clientX, box.left, box.width) * columns),
    Math.floor(part(event.clientY, box.top, box.height) * rows)));
});

stage.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const [rows, columns] = [query.map.length, query.map[0].length];
  const step = steps[event.key];
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (step) {
    const [column, row] = aimed || [columns >> 1, rows >> 1];
    const [x, y] = aimed ? cell(column + step[0], row + step[1]) : cell(column, row);
    cursor.hidden = false;
    cursor.classList.add("aimed");
    place(cursor, x, y, columns);
    say(`Place ${aimed[0] + 1} of ${columns} from the left, ${aimed[1] + 1} of ${rows} from above.`);
  } else if (event.key === "Enter" || event.key === " ") {
    const [column, row] = aimed || [columns >> 1, rows >> 1];
    byPlace(...cell(column, row));
  } else if (event.key === "Escape") {
    whole();
  } else {
    return;
  }
  event.preventDefault();
});

function upload(file) {
  const most = Number(body.dataset.megabytes);
  if (!file) return;
  if (file.size > most * 1e6) {
    ++asked;
    body.classList.remove("busy");
    say(`This file is larger than ${most} MB.`, true);
    return;
  }
  open("/queries", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
}

function collection() {
  return work("", () => ask(`/images?start=${shown}`), ({ images, total }) => {
    $("collection").replaceChildren(...images.map(tile));
    shown = (shown + images.length) % total;
    $("others").hidden = images.length === total;
  });
}

$("file").addEventListener("change", (event) => {
  upload(event.target.files[0]);
  event.target.value = "";
});
$("others").addEventListener("click", collection);
$("whole").addEventListener("click", () => {
  whole();
  stage.focus({ preventScroll: true });
});
$("again").addEventListener("click", () => {
  ++asked;
  body.classList.remove("busy");
  $("search").hidden = true;
  $("choose").hidden = false;
  say("");
  $("file").focus();
});
$("strength").addEventListener("input", (event) =>
  document.documentElement.style.setProperty("--map", event.target.value / 100));

const dragged = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!dragged(event)) return;
  event.preventDefault();
  body.classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget || body.classList.remove("over"));
addEventListener("drop", (event) => {
  if (!dragged(event)) return;
  event.preventDefault();
  body.classList.remove("over");
  upload(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files || [])].find((each) => each.type.startsWith("image/"));
  if (file) upload(file);
});
collection();
