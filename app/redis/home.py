"""Where the queues' keys live: at REDIS_URL, or on the node of its Redis Cluster that owns their slot."""

from redis.asyncio import Connection, ConnectionPool
from redis.crc import key_slot
from redis.exceptions import MovedError

Place = tuple[str, int]
"""Host and port."""
UNKNOWN = ("", "?")
"""What a node says for a host when it means itself, or does not know."""


class Home:
    """One place for all keys of a prefix, which is one hash tag.

    It begins with the address of the URL, and changes where a node says that the slot has moved. A place that cannot be
    reached is left for the address of the URL, whose node may know better, and that one for the place last told.
    """

    def __init__(self, prefix: str, pool: ConnectionPool) -> None:
        settings = pool.connection_kwargs
        self.key = f"{prefix}:home"
        """A key to ask for: the answer says whether this is the place."""
        self.place: Place = (settings.get("host", "localhost"), settings.get("port", 6379))
        self._slot = key_slot(prefix.encode())
        self._first = self._told = self.place
        self._pool = pool

    def told(self, reply: object, at: Place) -> bool:
        """Whether the reply of the node at `at` says that the keys are elsewhere; from now on that is the place."""
        if not isinstance(reply, MovedError) or reply.slot_id != self._slot:
            return False
        self._told = (at[0] if reply.host in UNKNOWN else reply.host, reply.port)
        self._aim(self._told)
        return True

    def lost(self) -> None:
        """The place cannot be reached."""
        self._aim(self._told if self.place == self._first else self._first)

    def _aim(self, place: Place) -> None:
        """The pool's sockets, also those that are busy connecting, go there from now on."""
        self.place = place
        host, port = place
        self._pool.connection_kwargs.update(host=host, port=port)
        for connection in (*self._pool._available_connections, *self._pool._in_use_connections):
            if isinstance(connection, Connection):
                connection.host, connection.port = host, port
