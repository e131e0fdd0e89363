"""The servers that tests use are the demo's own: see `pgcrypt_proxy.demo.postgres`."""

from pgcrypt_proxy.demo.postgres import (
    PostgresServer,
    ServerUnavailable,
    bin_dir_of,
    chosen_flavour,
    running,
)

__all__ = ["PostgresServer", "ServerUnavailable", "bin_dir_of", "chosen_flavour", "running"]
