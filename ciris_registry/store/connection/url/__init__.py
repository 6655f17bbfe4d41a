"""Where the state lives, and as whom a process connects: the store URL and its credentials.

No name shows a password, and no error contains a part of a URL.
"""

from ciris_registry.store.connection.url.credentials import Password, login_of
from ciris_registry.store.connection.url.parts import check_socket_path
from ciris_registry.store.connection.url.store_url import EMBEDDED_SOCKET, StoreURL

__all__ = ["EMBEDDED_SOCKET", "Password", "StoreURL", "check_socket_path", "login_of"]
