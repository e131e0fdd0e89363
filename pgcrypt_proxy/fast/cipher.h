/* One key, its two contexts of libcrypto's provider, and how much may be sealed with it. */
#ifndef PGCRYPT_CIPHER_H
#define PGCRYPT_CIPHER_H

typedef struct {
    PyObject_HEAD
    void *seal, *open;
    int is_busy, is_closed;
    long long granted; /* how many values may be sealed */
    double seal_until; /* and until when, by CLOCK_MONOTONIC */
} Cipher;

static PyTypeObject *cipher_type;

static void cipher_drop(Cipher *self)
{
    /* the provider overwrites the key schedule before it frees it */
    if (self->seal != NULL)
        gcm.freectx(self->seal);
    if (self->open != NULL)
        gcm.freectx(self->open);
    self->seal = self->open = NULL;
}

static PyObject *cipher_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    const char *key;
    Py_ssize_t length;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "y#:Cipher", &key, &length))
        return NULL;
    if (length != KEY_LENGTH) {
        PyErr_SetString(PyExc_ValueError, "a key has 32 bytes");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Cipher *self = (Cipher *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->seal = aead_new((const unsigned char *)key, 1);
    self->open = aead_new((const unsigned char *)key, 0);
    if (self->seal == NULL || self->open == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void cipher_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    cipher_drop((Cipher *)object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(seal_doc, "seal(head, nonce, plaintext, bound): the envelope; what is authenticated is head + bound.");

static PyObject *cipher_seal(PyObject *object, PyObject *args)
{
    Cipher *self = (Cipher *)object;
    const char *head, *nonce, *plaintext, *bound;
    Py_ssize_t head_length, nonce_length, length, bound_length;
    if (!PyArg_ParseTuple(args, "y#y#y#y#:seal", &head, &head_length, &nonce, &nonce_length, &plaintext, &length,
                          &bound, &bound_length))
        return NULL;
    if (self->is_closed || self->seal == NULL) {
        PyErr_SetString(PyExc_ValueError, "the key was zeroised");
        return NULL;
    }
    if (nonce_length != NONCE_LENGTH || length > INT_MAX - 1024 || head_length > 1024) {
        PyErr_SetString(PyExc_ValueError, "a part has an impossible length");
        return NULL;
    }
    PyObject *made = PyBytes_FromStringAndSize(NULL, head_length + NONCE_LENGTH + length + TAG_LENGTH);
    if (made == NULL)
        return NULL;
    unsigned char *out = (unsigned char *)PyBytes_AsString(made);
    memcpy(out, head, (size_t)head_length);
    memcpy(out + head_length, nonce, NONCE_LENGTH);
    if (!aead_seal(self->seal, (const unsigned char *)nonce, (const unsigned char *)head, (size_t)head_length,
                   (const unsigned char *)bound, (size_t)bound_length, (const unsigned char *)plaintext,
                   (size_t)length, out + head_length + NONCE_LENGTH)) {
        crypto.error_clear();
        Py_DECREF(made);
        PyErr_SetString(PyExc_ValueError, "a value could not be sealed");
        return NULL;
    }
    return made;
}

PyDoc_STRVAR(close_doc, "close(): overwrite the key; the cipher can do nothing any more.");

static PyObject *cipher_close(PyObject *object, PyObject *unused)
{
    Cipher *self = (Cipher *)object;
    (void)unused;
    self->is_closed = 1;
    if (!self->is_busy)
        cipher_drop(self);
    Py_RETURN_NONE;
}

static PyMethodDef cipher_methods[] = {
    {"seal", cipher_seal, METH_VARARGS, seal_doc},
    {"close", cipher_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};
static PyMemberDef cipher_members[] = {
    {"granted", T_LONGLONG, offsetof(Cipher, granted), 0, "how many values may be sealed"},
    {"seal_until", T_DOUBLE, offsetof(Cipher, seal_until), 0, "until when a Binder may seal, by CLOCK_MONOTONIC"},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot cipher_slots[] = {
    {Py_tp_new, cipher_new},         {Py_tp_dealloc, cipher_dealloc}, {Py_tp_methods, cipher_methods},
    {Py_tp_members, cipher_members},
    {Py_tp_doc, "Cipher(key): AES-256-GCM under one key."}, {0, NULL},
};
static PyType_Spec cipher_spec = {"pgcrypt_proxy.fast.native.Cipher", sizeof(Cipher), 0, Py_TPFLAGS_DEFAULT,
                                  cipher_slots};

/* Calls a column's Python function on a value; NULL with or without an exception set. */
static PyObject *call_convert(PyObject *convert, const unsigned char *value, Py_ssize_t size)
{
    PyObject *given = PyBytes_FromStringAndSize((const char *)value, size);
    if (given == NULL)
        return NULL;
    PyObject *made = PyObject_CallFunctionObjArgs(convert, given, NULL);
    Py_DECREF(given);
    if (made == NULL && PyErr_ExceptionMatches(PyExc_Exception))
        PyErr_Clear(); /* the reference will meet it again */
    return made;
}

#endif
