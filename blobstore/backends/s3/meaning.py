"""What the errors of S3 and of boto3 mean, and what the operator can do about each."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from blobstore.errors import BlobError, OutOfSpace, StorageUnavailable

ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
PRESENT = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
UNABLE = frozenset({"501", "NotImplemented", "405", "MethodNotAllowed"})

UNKNOWN = (BotoCoreError, ResponseParserError, HTTPError)
"""What leaves it open whether the store did as it was told: no answer came, or none that can be read."""

_FULL = frozenset({"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "507"})

_ADVICE = (
    ({"NoSuchBucket"}, "there is no such bucket: make it, or name another"),
    (
        {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired"},
        "it does not take the keys: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile",
    ),
    (
        {"403", "AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem"},
        "it refuses: check the keys, and what they may do in this bucket (its policy, its object lock)",
    ),
    (
        {"RequestTimeTooSkewed", "RequestExpired"},
        "the clock of this machine and that of the store differ: let NTP set both",
    ),
    (
        {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"},
        "the bucket is in another region: name its region, and its endpoint if that is told",
    ),
    ({"ObjectLocked", "InvalidObjectState"}, "objects are locked or archived: the bucket must do neither"),
    (UNABLE, "this store cannot do it"),
    (
        {"SlowDown", "ServiceUnavailable", "503", "InternalError", "500", "RequestTimeout", "BadGateway", "502"},
        "it is overloaded or failing, repeatedly: try again later",
    ),
)

_NO_KEYS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, NoAuthTokenError, ProfileNotFound)


def code_of(error: ClientError) -> str:
    """What the store calls its error; the HTTP status where it says nothing."""
    found = error.response.get("Error", {}).get("Code")
    return str(found or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))


@contextmanager
def translated(doing: str, passing: Collection[str] = ()) -> Iterator[None]:
    """Turn boto3's errors into this package's; those whose codes are in `passing` stay as they are."""
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code in passing:
            raise
        raise refusal(doing, code, error.response.get("Error", {}).get("Message", "")) from error
    except UNKNOWN as error:
        raise StorageUnavailable(f"S3 ({doing}): {_silence(error)}") from error


def refusal(doing: str, code: str, message: str) -> BlobError:
    """The error for what a store answered, and what to do about it."""
    said = f"{code} {message}".strip()
    if code in _FULL:
        return OutOfSpace(f"S3 has no room ({doing}): {said}")
    for codes, advice in _ADVICE:
        if code in codes:
            return StorageUnavailable(f"S3 ({doing}): {advice} [{said}]")
    return StorageUnavailable(f"S3 failed ({doing}): {said}")


def _silence(error: Exception) -> str:
    """What it means that no answer came."""
    match error:
        case SSLError():
            return (
                "its certificate is not to be trusted, or it speaks no https: name the authority's file as CA bundle,"
                f" or check the endpoint [{error}]"
            )
        case NoRegionError():
            return "name the region of the bucket"
        case ResponseParserError():
            return f"what answers is no store of S3, check the endpoint [{error}]"
        case _ if isinstance(error, _NO_KEYS):
            return f"there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile [{error}]"
        case ConnectionError() | HTTPClientError() | HTTPError():
            return f"it does not answer [{error}]"
    return f"it cannot be asked [{error}]"
