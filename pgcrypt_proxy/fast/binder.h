/* Binds whose values are sealed, or become search terms, on their way (see `session/parameters.py`). */
#ifndef PGCRYPT_BINDER_H
#define PGCRYPT_BINDER_H

#include <pthread.h>

#include "bind.h"

#define MAX_BIND 8192

/* ---- Binder: what becomes of the parameters of one prepared statement */

enum { PASS, SEAL, TERM, USES };

typedef struct {
    int index, use; /* which of the client's parameters, and what the server gets of it */
    Sealing sealing;
    Py_ssize_t made; /* how many since `counts` */
} Parameter;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count;
    unsigned client_count;
    Parameter *parameters;
    Nonces nonces;
    unsigned forks;
    double seconds;
} Binder;

static PyTypeObject *binder_type;

static void binder_dealloc(PyObject *object)
{
    Binder *self = (Binder *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (Py_ssize_t i = 0; i < self->count; i++)
        sealing_clear(&self->parameters[i].sealing);
    PyMem_Free(self->parameters);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static int parameter_init(Parameter *self, PyObject *item, int client_count)
{
    PyObject *given;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a parameter is a tuple");
        return 0;
    }
    if (!PyArg_ParseTuple(item, "iiO", &self->index, &self->use, &given))
        return 0;
    if (self->index < 0 || self->index >= client_count || self->use < 0 || self->use >= USES) {
        PyErr_SetString(PyExc_ValueError, "no such parameter, or no such use");
        return 0;
    }
    if (self->use == SEAL)
        return sealing_init(&self->sealing, given);
    if (self->use == TERM) {
        int kind;
        PyObject *mac;
        if (!PyTuple_Check(given) || !PyArg_ParseTuple(given, "iO!", &kind, mac_type, &mac))
            return 0;
        if (kind < READ_TEXT || kind >= READ_CONVERT) {
            PyErr_SetString(PyExc_ValueError, "no such kind of value");
            return 0;
        }
        self->sealing.kind = (uint8_t)kind;
        self->sealing.max_characters = SIZE_MAX;
        return mac_of(mac, &self->sealing.equality);
    }
    return 1;
}

static PyObject *binder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *parameters;
    int client_count;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "O!i:Binder", &PyTuple_Type, &parameters, &client_count))
        return NULL;
    Py_ssize_t count = PyTuple_Size(parameters);
    if (count > UINT16_MAX || client_count < 0 || client_count > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many parameters");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Binder *self = (Binder *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->client_count = (unsigned)client_count;
    if ((self->parameters = PyMem_Calloc((size_t)count + 1, sizeof(Parameter))) == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->count = count;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!parameter_init(&self->parameters[i], PyTuple_GetItem(parameters, i), client_count)) {
            Py_DECREF(self);
            return NULL;
        }
    return (PyObject *)self;
}

/* What stands at one place of the client's Bind. */
typedef struct {
    const unsigned char *value; /* its length word */
    uint32_t length;
    unsigned format;
} Given;

/* The client's parameters, `client_count` of them; where the result formats begin, or NULL. */
static const unsigned char *bind_read(const unsigned char *at, const unsigned char *end, unsigned client_count,
                                      Given *given)
{
    if (end - at < 2)
        return NULL;
    unsigned formats = load16(at);
    const unsigned char *format = at + 2;
    if ((formats > 1 && formats != client_count) || (size_t)(end - format) < 2 * (size_t)formats + 2)
        return NULL;
    at = format + 2 * (size_t)formats;
    if (load16(at) != client_count)
        return NULL;
    at += 2;
    for (unsigned i = 0; i < client_count; i++) {
        given[i].format = formats == 0 ? 0 : load16(format + (formats == 1 ? 0 : 2 * (size_t)i));
        given[i].value = at;
        if (given[i].format > 1 || end - at < 4)
            return NULL;
        given[i].length = load32(at);
        at += 4;
        if (given[i].length == UINT32_MAX)
            continue;
        if (given[i].length > (size_t)(end - at))
            return NULL;
        at += given[i].length;
    }
    return at;
}

/* A child that kept its parent's nonces would use them again. */
static unsigned forks;

static void on_fork(void)
{
    forks++;
}

static const unsigned char *fresh_nonce(Binder *self)
{
    if (self->forks != forks) {
        self->nonces.left = 0;
        self->forks = forks;
    }
    return nonce_next(&self->nonces, NONCES);
}

static int take_grant(Cipher *cipher, double now)
{
    if (cipher->is_busy || cipher->granted <= 0 || now >= cipher->seal_until)
        return 0;
    cipher->granted--;
    return 1;
}

/* How long the envelope or term of what was read is. */
static size_t made_length(const Parameter *parameter, const Reading *made)
{
    return parameter->use == TERM ? TERM_LENGTH : envelope_length(&parameter->sealing, made->length);
}

/* Writes that many bytes; whether it could. */
static int write_made(Binder *self, Parameter *parameter, const Reading *made, double now, unsigned char *out)
{
    Sealing *sealing = &parameter->sealing;
    if (parameter->use == TERM) {
        size_t length = 0;
        return add_term(sealing->equality, made->prefix, made->key, made->key_length, out, &length);
    }
    const unsigned char *nonce = take_grant(sealing->cipher, now) ? fresh_nonce(self) : NULL;
    return nonce != NULL && seal_reading(sealing, made, nonce, out);
}

/* The envelope or term of a value behind what `out` has, with its length before it; whether it could. */
static int add_made(Binder *self, Parameter *parameter, const Given *given, double now, unsigned char *scratch,
                    Buffer *out)
{
    Reading made;
    reading_begin(&made);
    if (!read_plainly(&parameter->sealing, given->value + 4, given->length, (int)given->format, scratch, &made))
        return 0;
    size_t size = made_length(parameter, &made);
    unsigned char *place = buffer_reserve(out, 4 + size);
    if (place == NULL || !write_made(self, parameter, &made, now, place + 4))
        return 0;
    store32(place, (uint32_t)size);
    out->used += 4 + size;
    return 1;
}

/* The Bind that the server gets, with `before` and `after` around it; NULL, perhaps with an exception: not made.
 * `*start` and `*end` are then where it is. Its own names and result formats are those of the client's. */
static PyObject *binder_rewrite(Binder *self, const unsigned char *before, size_t before_length,
                                const unsigned char *bind, size_t size, const unsigned char *after,
                                size_t after_length, size_t *start, size_t *end)
{
    const unsigned char *bind_end = bind + size, *at = bind + 5;
    Given fixed[32], *given = fixed;
    unsigned char small[MAX_BIND];
    if (size > sizeof small || self->client_count > sizeof fixed / sizeof *fixed)
        return NULL;
    for (int names = 0; names < 2; names++)
        if ((at = memchr(at, 0, (size_t)(bind_end - at))) == NULL || ++at == bind_end)
            return NULL;
    const unsigned char *formats = bind_read(at, bind_end, self->client_count, given);
    if (formats == NULL || bind_end - formats < 2 || (size_t)(bind_end - formats) != 2 + 2 * (size_t)load16(formats))
        return NULL;
    double started = monotonic();
    Buffer out = {0};
    PyObject *made = NULL;
    int is_made = buffer_add(&out, before, before_length) && buffer_add(&out, bind, (size_t)(at - bind)) &&
                  buffer_reserve(&out, 4 + 2 * (size_t)self->count) != NULL;
    if (is_made) {
        unsigned char *place = out.bytes + out.used;
        store16(place, (unsigned)self->count);
        for (Py_ssize_t i = 0; i < self->count; i++) {
            Parameter *parameter = &self->parameters[i];
            store16(place + 2 + 2 * i, parameter->use == PASS ? given[parameter->index].format : 1);
        }
        store16(place + 2 + 2 * self->count, (unsigned)self->count);
        out.used += 4 + 2 * (size_t)self->count;
    }
    for (Py_ssize_t i = 0; is_made && i < self->count; i++) {
        Parameter *parameter = &self->parameters[i];
        const Given *value = &given[parameter->index];
        if (parameter->use == PASS || value->length == UINT32_MAX)
            is_made = buffer_add(&out, value->value, 4 + (value->length == UINT32_MAX ? 0 : (size_t)value->length));
        else
            is_made = add_made(self, parameter, value, started, small, &out);
    }
    if (is_made && buffer_add(&out, formats, (size_t)(bind_end - formats))) {
        store32(out.bytes + before_length + 1, (uint32_t)(out.used - before_length - 1));
        *start = before_length;
        *end = out.used;
        if (buffer_add(&out, after, after_length))
            made = PyBytes_FromStringAndSize((const char *)out.bytes, (Py_ssize_t)out.used);
        for (Py_ssize_t i = 0; made != NULL && i < self->count; i++) {
            Parameter *parameter = &self->parameters[i];
            parameter->made += parameter->use != PASS && given[parameter->index].length != UINT32_MAX;
        }
    }
    crypto.cleanse(small, sizeof small);
    free(out.bytes);
    self->seconds += monotonic() - started;
    return made;
}

PyDoc_STRVAR(binder_counts_doc, "counts(): how many values of each parameter were made since, and in how many seconds.");

static PyObject *binder_counts(PyObject *object, PyObject *unused)
{
    Binder *self = (Binder *)object;
    (void)unused;
    PyObject *counts = PyTuple_New(self->count);
    for (Py_ssize_t i = 0; counts != NULL && i < self->count; i++) {
        PyObject *number = PyLong_FromSsize_t(self->parameters[i].made);
        if (number == NULL || PyTuple_SetItem(counts, i, number) < 0)
            Py_CLEAR(counts);
        self->parameters[i].made = 0;
    }
    PyObject *answer = counts == NULL ? NULL : Py_BuildValue("(Od)", counts, self->seconds);
    Py_XDECREF(counts);
    self->seconds = 0;
    return answer;
}

static PyMethodDef binder_methods[] = {
    {"counts", binder_counts, METH_NOARGS, binder_counts_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot binder_slots[] = {
    {Py_tp_new, binder_new},
    {Py_tp_dealloc, binder_dealloc},
    {Py_tp_methods, binder_methods},
    {Py_tp_doc, "Binder(parameters, client_count): rewrites the Binds of one statement."},
    {0, NULL},
};
static PyType_Spec binder_spec = {"pgcrypt_proxy.fast.native.Binder", sizeof(Binder), 0, Py_TPFLAGS_DEFAULT,
                                  binder_slots};

#endif
