"""The application of postgres.test.ts: the path names the library, whose C code waits for the server."""

import importlib
import os


def application(environ, start_response):
    library = importlib.import_module(environ["PATH_INFO"][1:])
    connection = library.connect(
        host="127.0.0.1", port=os.environ["FAKE_PORT"], user="u", password="p", dbname="d", sslmode="disable"
    )
    cursor = connection.cursor()
    cursor.execute("SELECT 'a value' AS answer")
    simple = cursor.fetchall()
    cursor.execute("SELECT %s AS answer", ("a value",))
    given = cursor.fetchall()
    connection.commit()
    connection.close()
    start_response("200 OK", [])
    return [repr([simple, given]).encode()]
