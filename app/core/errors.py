"""What can go wrong, said once: a `Problem` becomes a Problem Details answer or a fragment (see `answers`)."""

import re

from msgspec import Struct, ValidationError

# How msgspec says it: Object missing required field `body`, Object contains unknown field `nope`.
_NO_FIELD = re.compile(r"Object (?:(?P<missing>missing required)|contains unknown) field `(?P<name>[^`]*)`")


class FieldError(Struct, frozen=True):
    """One field of the input and what is wrong with it. `field` is the name the caller sent."""

    field: str
    message: str

    @classmethod
    def of_decoder(cls, message: str, within: str = "") -> "FieldError | None":
        """What msgspec says of a field that is missing or too many; it names these in its message only.

        `within` is the way to the object that it speaks of.
        """
        if (found := _NO_FIELD.match(message)) is None:
            return None
        name = f"{within}.{found['name']}" if within else found["name"]
        return cls(name, "is wanted" if found["missing"] else "is not known here")

    @classmethod
    def of_misfit(cls, error: ValidationError, whole: str) -> "FieldError":
        """The field that msgspec names at the end of its message, `… - at `$.steps[0].key``, and what is wrong with it.

        `whole` names the input as a whole, for where no field of it is to blame.
        """
        message, _, place = str(error).partition(" - at ")
        # A key of an object stands for the object: `key` in `$.values`.
        field = place.rpartition("`$")[2].rstrip("`").removesuffix("[...]").lstrip(".")
        return cls.of_decoder(message, field) or cls(field or whole, message)


class Problem(Exception):
    """An error the caller is told about.

    `status` is the HTTP status, `code` a stable word for programs, `detail` a sentence for people.
    """

    status = 500
    code = "internal_error"
    title = "Something went wrong"

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        errors: list[FieldError] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.code = code or self.code
        self.errors = errors or []
        self.headers = headers or {}


class Invalid(Problem):
    status, code, title = 422, "invalid", "The input is not valid"

    @classmethod
    def field(cls, field: str, message: str) -> "Invalid":
        return cls(f"{field}: {message}", errors=[FieldError(field, message)])

    @classmethod
    def misfit(cls, error: ValidationError, whole: str) -> "Invalid":
        """Input that msgspec refuses; see `FieldError.of_misfit`."""
        found = FieldError.of_misfit(error, whole)
        return cls.field(found.field, found.message)


class BadRequest(Problem):
    status, code, title = 400, "bad_request", "The request cannot be understood"


class Unauthenticated(Problem):
    status, code, title = 401, "unauthenticated", "Sign in, or send a valid token"


class Forbidden(Problem):
    status, code, title = 403, "forbidden", "You may not do this"


class NotFound(Problem):
    status, code, title = 404, "not_found", "There is no such thing"


class Conflict(Problem):
    status, code, title = 409, "conflict", "This cannot be done in the present state"


class Unsupported(Problem):
    status, code, title = 415, "unsupported", "This kind of content is not understood here"


class Stale(Problem):
    status, code, title = 412, "stale", "Somebody changed this in the meantime"


class RateLimited(Problem):
    status, code, title = 429, "rate_limited", "Too many requests: wait as many seconds as Retry-After says"


class Unavailable(Problem):
    status, code, title = 503, "unavailable", "A part of the service is not available"
