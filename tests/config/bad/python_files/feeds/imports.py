import feedkit
import no_such_library
