//! Python distributions: hash-pinned requirements, download, wheels unpacked into a virtual environment.
