//! Values that are secrets wherever they stand.
