"""
Settings of the example. What changes between development, tests and production comes from the environment:

    DJANGO_DEBUG        1 (default) or 0
    DJANGO_SECRET_KEY   needed when DJANGO_DEBUG is 0
    DJANGO_HOSTS        names the site answers to, separated by commas (default: this machine)
    DJANGO_DB           path of the SQLite file (default: db.sqlite3 beside manage.py)
    DJANGO_MEDIA        folder for uploads (default: media)
    DJANGO_STATIC       folder that collectstatic fills (default: staticfiles)
"""
import os
from pathlib import Path

import django

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DJANGO_DEBUG", "1") == "1"
# Signs the session cookies: a key that anybody can read here is good for trying things out only.
SECRET_KEY = "insecure-and-for-trying-out-only" if DEBUG else os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = os.environ.get("DJANGO_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "library",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DJANGO_DB", BASE_DIR / "db.sqlite3"),
        # Several workers write: wait for the other's lock instead of failing at once.
        "OPTIONS": {"timeout": 20},
    }
}
if django.VERSION >= (5, 1):
    DATABASES["default"]["OPTIONS"]["transaction_mode"] = "IMMEDIATE"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# Tunicorn serves these itself: from the apps while DEBUG is on, else from STATIC_ROOT once collectstatic filled it.
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("DJANGO_STATIC", BASE_DIR / "staticfiles")

MEDIA_ROOT = os.environ.get("DJANGO_MEDIA", BASE_DIR / "media")
