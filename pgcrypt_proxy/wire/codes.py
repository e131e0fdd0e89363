"""Codes of protocol 3: message types, request codes, formats. Manual: protocol-message-formats.html."""

from __future__ import annotations

from enum import IntEnum

# -- frontend messages
BIND = ord("B")
CLOSE = ord("C")
COPY_DATA = ord("d")
COPY_DONE = ord("c")
COPY_FAIL = ord("f")
DESCRIBE = ord("D")
EXECUTE = ord("E")
FLUSH = ord("H")
FUNCTION_CALL = ord("F")
PARSE = ord("P")
PASSWORD = ord("p")  # and all other authentication answers
QUERY = ord("Q")
SYNC = ord("S")
TERMINATE = ord("X")

# -- backend messages
AUTHENTICATION = ord("R")
BACKEND_KEY_DATA = ord("K")
BIND_COMPLETE = ord("2")
CLOSE_COMPLETE = ord("3")
COMMAND_COMPLETE = ord("C")
COPY_BOTH_RESPONSE = ord("W")
COPY_IN_RESPONSE = ord("G")
COPY_OUT_RESPONSE = ord("H")
DATA_ROW = ord("D")
EMPTY_QUERY_RESPONSE = ord("I")
ERROR_RESPONSE = ord("E")
FUNCTION_CALL_RESPONSE = ord("V")
NEGOTIATE_PROTOCOL_VERSION = ord("v")
NO_DATA = ord("n")
NOTICE_RESPONSE = ord("N")
NOTIFICATION_RESPONSE = ord("A")
PARAMETER_DESCRIPTION = ord("t")
PARAMETER_STATUS = ord("S")
PARSE_COMPLETE = ord("1")
PORTAL_SUSPENDED = ord("s")
READY_FOR_QUERY = ord("Z")
ROW_DESCRIPTION = ord("T")

# -- request codes of packets without a type byte
CANCEL_REQUEST_CODE = 80877102
SSL_REQUEST_CODE = 80877103
GSSENC_REQUEST_CODE = 80877104

#: MAX_STARTUP_PACKET_LENGTH of PostgreSQL: of what follows the length
MAX_STARTUP_PACKET_LENGTH = 10_000
#: PG_MAX_AUTH_TOKEN_LENGTH of PostgreSQL
MAX_AUTH_TOKEN_LENGTH = 65_535
#: PQ_SMALL_MESSAGE_LIMIT of PostgreSQL
SMALL_MESSAGE_LIMIT = 10_000
#: MaxAllocSize of PostgreSQL: no message body is longer
MAX_MESSAGE_LENGTH = 0x3FFFFFFF


class Format(IntEnum):
    """Format codes of parameters and result columns."""

    TEXT = 0
    BINARY = 1


class Authentication(IntEnum):
    """Codes of the Authentication messages."""

    OK = 0
    CLEARTEXT_PASSWORD = 3
    MD5_PASSWORD = 5
    GSS = 7
    GSS_CONTINUE = 8
    SSPI = 9
    SASL = 10
    SASL_CONTINUE = 11
    SASL_FINAL = 12
