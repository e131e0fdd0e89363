"""A field of every type that Django's PostgreSQL backend stores."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Everything(models.Model):
    """`positive` is plain in all tests: Django gives it a CHECK, which no server can ask of ciphertext."""

    code = models.CharField(max_length=12, unique=True)
    char = models.CharField(max_length=40, default="planted-default")
    text = models.TextField()
    email = models.EmailField(db_index=True)
    slug = models.SlugField()
    url = models.URLField(null=True)
    file = models.FileField(upload_to="files")
    image_path = models.FilePathField(path="/")
    key = models.UUIDField(default=uuid.uuid4)
    flag = models.BooleanField(null=True)
    small = models.SmallIntegerField()
    whole = models.IntegerField()
    big = models.BigIntegerField()
    positive = models.PositiveIntegerField(default=3)
    real = models.FloatField()
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    day = models.DateField()
    moment = models.DateTimeField()
    clock = models.TimeField()
    span = models.DurationField()
    raw = models.BinaryField()
    data = models.JSONField()
    address = models.GenericIPAddressField()
    tags = ArrayField(models.CharField(max_length=20))
    numbers = ArrayField(models.IntegerField(), null=True)

    class Meta:
        app_label = "fields"
