WORDS = {}


def first():
    return WORDS['heron']


first()
