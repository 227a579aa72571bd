"""A connection on which an answer is lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from threading import Thread

from .daemon import END_SECONDS, Daemon

PIECE = 65_536


@contextmanager
def losing_one_answer(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon behind a proxy that cuts the first connection as soon as the answer comes."""
    listener = socket.create_server(("127.0.0.1", 0))
    reached = copy(daemon)
    reached.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    accepting = Thread(target=_accept, args=(listener, daemon), name="proxy")
    accepting.start()
    try:
        yield reached
    finally:
        with suppress(OSError):  # wakes the thread up
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(END_SECONDS)


def _accept(listener: socket.socket, daemon: Daemon) -> None:
    host, _, port = daemon.host.partition(":")
    lose = True
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, socket.create_connection((host, int(port)), END_SECONDS) as served:
            asking = Thread(target=_copy, args=(client, served), name="request")
            asking.start()
            if lose:
                served.recv(PIECE)
            else:
                _copy(served, client)
            for one in (client, served):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            asking.join(END_SECONDS)
        lose = False


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
