"""The main job on a database of its own: a PostgreSQL, two real applications, and both sides of the proxy.

Front door: `main.main()`. `django_app` and `sqlalchemy_app` are the
applications: programs of their own that know a connection string and nothing of
encryption. `postgres` runs servers in temporary directories.
"""
