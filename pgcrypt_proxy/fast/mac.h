/* Mac: the key of one index domain, which makes terms. Included by native.c. */
#ifndef PGCRYPT_MAC_H
#define PGCRYPT_MAC_H

#include "libcrypto.h"

typedef struct {
    PyObject_HEAD
    Hmac hmac;
    int is_closed;
} Mac;

static PyTypeObject *mac_type;

static PyObject *mac_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    const char *key;
    Py_ssize_t length;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "y#:Mac", &key, &length))
        return NULL;
    if (length != KEY_LENGTH) {
        PyErr_SetString(PyExc_ValueError, "a key has 32 bytes");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Mac *self = (Mac *)allocate(type, 0);
    if (self != NULL && !hmac_init(&self->hmac, (const unsigned char *)key)) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void mac_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    crypto.cleanse(&((Mac *)object)->hmac, sizeof(Hmac));
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *mac_close(PyObject *object, PyObject *unused)
{
    Mac *self = (Mac *)object;
    (void)unused;
    self->is_closed = 1;
    crypto.cleanse(&self->hmac, sizeof self->hmac);
    Py_RETURN_NONE;
}

static PyObject *mac_term(PyObject *object, PyObject *args)
{
    Mac *self = (Mac *)object;
    const char *message;
    Py_ssize_t length;
    unsigned char digest[DIGEST_LENGTH];
    if (!PyArg_ParseTuple(args, "y#:term", &message, &length))
        return NULL;
    if (self->is_closed || !hmac_make(&self->hmac, (const unsigned char *)message, (size_t)length, NULL, 0, digest)) {
        PyErr_SetString(PyExc_ValueError, "the key was zeroised");
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)digest, TERM_LENGTH);
}

static PyMethodDef mac_methods[] = {
    {"term", mac_term, METH_VARARGS, "term(message): the first 16 bytes of its digest."},
    {"close", mac_close, METH_NOARGS, "close(): overwrite the key; nothing is sealed with it any more."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot mac_slots[] = {
    {Py_tp_new, mac_new},         {Py_tp_dealloc, mac_dealloc}, {Py_tp_methods, mac_methods},
    {Py_tp_doc, "Mac(key): HMAC-SHA-256 under one key."}, {0, NULL},
};
static PyType_Spec mac_spec = {"pgcrypt_proxy.fast.native.Mac", sizeof(Mac), 0, Py_TPFLAGS_DEFAULT, mac_slots};

#endif
