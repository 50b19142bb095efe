// A click, or Enter, on the head of a column sorts a table by it; another one turns the order around.

const UNITS = { kB: 1e3, MB: 1e6, GB: 1e9 };

// What a cell is sorted by: a number that it begins with, else its text.
function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = /^(?:rank-1 )?(-?[\d.,]*\d)\s*(kB|MB|GB)?/.exec(text);
  return number ? parseFloat(number[1].replaceAll(",", "")) * (UNITS[number[2]] ?? 1) : text;
}

// Numbers before texts, as numbers.
function compare(one, other) {
  if (typeof one === typeof other)
    return typeof one === "number" ? one - other : one.localeCompare(other);
  return typeof one === "number" ? -1 : 1;
}

function sort(table, head) {
  const turned = head.ariaSort === "ascending";
  for (const each of table.tHead.rows[0].cells) each.ariaSort = null;
  head.ariaSort = turned ? "descending" : "ascending";
  const column = head.cellIndex;
  const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
  rows.sort(([one], [other]) => (turned ? -1 : 1) * compare(one, other));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table")) {
    if (!table.tHead || table.tBodies.length !== 1 || table.tBodies[0].rows.length < 3) continue;
    for (const head of table.tHead.rows[0].cells) {
      head.tabIndex = 0;
      head.title = "Sort";
      head.addEventListener("click", () => sort(table, head));
      head.addEventListener("keydown", ({ key }) => key === "Enter" && sort(table, head));
    }
  }
});
