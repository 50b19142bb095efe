"""Search: which images are like this one, which are there twice, and what groups they form."""

from keras_cr.search.groups import clusters, near_duplicates
from keras_cr.search.index import Index, Match
from keras_cr.search.place_search import PlaceMatch, PlaceSearch
from keras_cr.search.places import Places, similarity_maps

__all__ = [
    "Index",
    "Match",
    "PlaceMatch",
    "PlaceSearch",
    "Places",
    "clusters",
    "near_duplicates",
    "similarity_maps",
]
