"""The pair of UDP ports that an RTSP stream may come through."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

_RECEIVE_BYTES = 4 << 20  # a key frame comes as one burst; the kernel may grant less
_TRIES = 50
_GOODBYE = 203  # RTCP BYE


class UdpPair:
    """An even port for RTP and the next one for RTCP. Packets of other hosts are ignored."""

    def __init__(self, peer: str, family: socket.AddressFamily) -> None:
        """Bind two neighbouring ports of the machine's choice.

        Args:
            peer: the camera's address, in numbers.
            family: of that address.

        Raises:
            OSError: there are none left.
        """
        self._peer, self._family = peer, family
        self._rtp, self._rtcp = self._bound()
        self._peer_ports: tuple[int, int] | None = None

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """For waiting on them."""
        return (self._rtp, self._rtcp)

    @property
    def wanted(self) -> str:
        """The Transport field of SETUP."""
        port = self._rtp.getsockname()[1]
        return f"RTP/AVP;unicast;client_port={port}-{port + 1}"

    def agree(self, transport: str) -> None:
        """Take the camera's answer; a first packet to its ports opens the way through a firewall."""
        if said := re.search(r"server_port=(\d+)-(\d+)", transport):
            self._peer_ports = (int(said[1]), int(said[2]))
            self._send(self._rtp, b"\x80\x00\x00\x00" + bytes(8), self._peer_ports[0])

    def receive(self) -> tuple[list[bytes], bool]:
        """Return the RTP packets that are there, and whether the camera has said goodbye."""
        packets = list(self._drain(self._rtp))
        ended = any(len(data) > 1 and data[1] == _GOODBYE for data in self._drain(self._rtcp))
        return packets, ended

    def report(self, data: bytes) -> None:
        """Send RTCP: some cameras end a session that nobody reports on."""
        if self._peer_ports is not None:
            self._send(self._rtcp, data, self._peer_ports[1])

    def close(self) -> None:
        """Give the ports back."""
        self._rtp.close()
        self._rtcp.close()

    def _bound(self) -> tuple[socket.socket, socket.socket]:
        for _ in range(_TRIES):
            rtp, rtcp = (socket.socket(self._family, socket.SOCK_DGRAM) for _ in range(2))
            try:
                rtp.bind(("", 0))
                port = rtp.getsockname()[1]
                if port % 2 == 0:
                    rtcp.bind(("", port + 1))
                    rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
                    rtp.setblocking(False)
                    rtcp.setblocking(False)
                    return rtp, rtcp
            except OSError:  # the neighbour is taken
                pass
            rtp.close()
            rtcp.close()
        raise OSError("no two neighbouring UDP ports are free")

    def _drain(self, own: socket.socket) -> list[bytes]:
        packets: list[bytes] = []
        with suppress(BlockingIOError, ConnectionRefusedError):  # nothing more; or the peer's port has closed
            while len(packets) < 4096:
                data, sender = own.recvfrom(65536)
                if sender[0] == self._peer:
                    packets.append(data)
        return packets

    def _send(self, own: socket.socket, data: bytes, port: int) -> None:
        with suppress(OSError):  # a lost report is no loss
            own.sendto(data, (self._peer, port))
