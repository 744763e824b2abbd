//! Whole-product tests, their environment and small fake programs.
