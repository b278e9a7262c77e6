"""The files of a folder, to compare two folders."""


def contents(folder):
    """Return the bytes of every file below a folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
