from django.db import models


class Document(models.Model):
    """A file that a visitor has put into the library."""

    title = models.CharField(max_length=200)
    file = models.FileField(upload_to="documents/")
    added = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-added", "-id"]

    def __str__(self) -> str:
        return self.title
