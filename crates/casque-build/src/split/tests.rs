//! A difference in parts, on small trees; that the parts add up is told by unpacking them.
