"""Django with its usual middleware: one view without a query, one with a query and a template of 20 rows."""
import os

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"]}},
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402


class Product(models.Model):
    name = models.CharField(max_length=100)
    price = models.FloatField()

    class Meta:
        app_label = "bench"


PAGE = engines["django"].from_string(
    "<!doctype html><title>Products</title><ul>{% for product in products %}"
    "<li class='{% cycle 'odd' 'even' %}'>{{ product.name }}: {{ product.price|floatformat:2 }}</li>"
    "{% endfor %}</ul>"
)


def hello(request):
    return HttpResponse("Hello, world!\n", content_type="text/plain")


def page(request):
    return HttpResponse(PAGE.render({"products": Product.objects.order_by("id")[:20]}))


urlpatterns = [path("", hello), path("page", page)]
application = get_wsgi_application()


def fill():
    """Makes the table; called once, before any server starts."""
    from django.db import connection

    with connection.schema_editor() as editor:
        editor.create_model(Product)
    Product.objects.bulk_create(Product(name="Row & %04d" % i, price=i * 1.5) for i in range(100))
