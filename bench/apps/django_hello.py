"""Django with its usual middleware: one view without a query, one that renders a template of 20 rows."""
import django
from django.conf import settings
from django.http import HttpResponse
from django.template import engines
from django.urls import path

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()

PAGE = engines["django"].from_string(
    "<ul>{% for row in rows %}<li>{{ row.name }}: {{ row.price|floatformat:2 }}</li>{% endfor %}</ul>"
)
ROWS = [{"name": "Row %d" % i, "price": i * 1.5} for i in range(20)]


def hello(request):
    return HttpResponse("Hello, world!\n", content_type="text/plain")


def page(request):
    return HttpResponse(PAGE.render({"rows": ROWS}))


urlpatterns = [path("", hello), path("page", page)]

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
