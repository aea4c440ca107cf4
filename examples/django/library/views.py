from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from .forms import DocumentForm
from .models import Document


def index(request: HttpRequest) -> HttpResponse:
    """Lists the documents, and takes a new one."""
    form = DocumentForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        request.session["uploads"] = request.session.get("uploads", 0) + 1
        return redirect("index")
    context = {
        "form": form,
        "documents": Document.objects.all()[:50],
        "uploads": request.session.get("uploads", 0),
    }
    return render(request, "library/index.html", context, status=400 if form.errors else 200)


def download(request: HttpRequest, pk: int) -> FileResponse:
    """The file, byte for byte, under the name it came with."""
    document = get_object_or_404(Document, pk=pk)
    return FileResponse(document.file.open("rb"), as_attachment=True)
