"""placeholder"""


def check_structure(source, path):
    pass
