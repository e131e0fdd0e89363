/* COPY's rows: sealed on their way in (Seals), opened on their way out (Rows, with a Form). Included by native.c.
 *
 * Both take whole rows that are plainly right and stop before any other, as the rows of a result do. Nothing of a
 * row is in the output before the whole of it is.
 */
#ifndef PGCRYPT_COPY_H
#define PGCRYPT_COPY_H

#include "lines.h"
#include "seal.h"

/* ---- a form from Python */

static int one_byte(const char *bytes, Py_ssize_t length, uint8_t *out)
{
    *out = length == 1 ? (uint8_t)bytes[0] : 0;
    return length == 1;
}

/* (is_csv, is_single, delimiter, quote, null, default or None). A form that is not made sets an exception. */
static Form *form_new(PyObject *item)
{
    int is_csv, is_single;
    const char *delimiter, *quote, *null, *default_;
    Py_ssize_t delimiter_length, quote_length, null_length, default_length;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a form is a tuple");
        return NULL;
    }
    if (!PyArg_ParseTuple(item, "ppy#y#y#z#", &is_csv, &is_single, &delimiter, &delimiter_length, &quote,
                          &quote_length, &null, &null_length, &default_, &default_length))
        return NULL;
    Form *form = PyMem_Calloc(1, sizeof(Form));
    if (form == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    form->is_csv = (uint8_t)is_csv;
    form->is_single = (uint8_t)is_single;
    form->has_default = default_ != NULL;
    if (default_ == NULL)
        default_length = 0;
    if (!one_byte(delimiter, delimiter_length, &form->delimiter) || !one_byte(quote, quote_length, &form->quote) ||
        null_length > MAX_MARKER || default_length > MAX_MARKER || strchr("\r\n", form->delimiter) != NULL ||
        (is_csv ? form->quote == form->delimiter || strchr("\r\n", form->quote) != NULL : form->delimiter == '\\')) {
        PyMem_Free(form);
        PyErr_SetString(PyExc_ValueError, "no such form");
        return NULL;
    }
    form->null_length = (uint8_t)null_length;
    memcpy(form->null, null, (size_t)null_length);
    form->default_length = (uint8_t)default_length;
    if (default_ != NULL)
        memcpy(form->default_, default_, (size_t)default_length);
    form_init(form);
    return form;
}

/* ---- Seals: the rows of one COPY FROM */

#define MAX_AHEAD 65536 /* data for which room is made before any row is seen; there may be no whole one */

typedef struct {
    PyObject_HEAD
    Py_ssize_t count, sealed_count;
    Sealing *columns;
    Span *spans;
    Form *form; /* NULL: the binary format */
    size_t max_row;
    int is_busy;
} Seals;

static void seals_dealloc(PyObject *object)
{
    Seals *self = (Seals *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (Py_ssize_t i = 0; self->columns != NULL && i < self->count; i++)
        sealing_clear(&self->columns[i]);
    PyMem_Free(self->columns);
    PyMem_Free(self->spans);
    PyMem_Free(self->form);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static int seals_init(Seals *self, PyObject *columns, PyObject *form, Py_ssize_t max_row)
{
    self->count = PyTuple_Size(columns);
    self->columns = PyMem_Calloc((size_t)self->count + 1, sizeof(Sealing));
    self->spans = PyMem_Calloc((size_t)self->count + 1, sizeof(Span));
    if (self->columns == NULL || self->spans == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    if (self->count < 1 || self->count > INT16_MAX || max_row < 0) {
        PyErr_SetString(PyExc_ValueError, "no such rows");
        return 0;
    }
    self->max_row = (size_t)max_row;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        PyObject *item = PyTuple_GetItem(columns, i);
        if (item == NULL || (item != Py_None && !sealing_init(&self->columns[i], item)))
            return 0;
        self->sealed_count += self->columns[i].is_sealed;
    }
    return form == Py_None || (self->form = form_new(form)) != NULL;
}

static PyObject *seals_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *columns, *form;
    Py_ssize_t max_row;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "O!On:Seals", &PyTuple_Type, &columns, &form, &max_row))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Seals *self = (Seals *)allocate(type, 0);
    if (self != NULL && !seals_init(self, columns, form, max_row)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* The tuple at `at` of the binary format: like `line_read`; a NULL's span is marked. */
static size_t tuple_read(const unsigned char *in, size_t at, size_t end, Span *spans, size_t count)
{
    if (end - at < 2 || (size_t)(in[at] << 8 | in[at + 1]) != count)
        return 0;
    at += 2;
    for (size_t field = 0; field < count; field++) {
        if (end - at < 4)
            return 0;
        uint32_t length = load32(in + at);
        at += 4;
        spans[field].is_marked = length == UINT32_MAX;
        if (spans[field].is_marked)
            length = 0;
        if (length > INT32_MAX || length > end - at)
            return 0;
        spans[field].start = at;
        at += length;
        spans[field].end = at;
    }
    return at;
}

typedef struct {
    const unsigned char *in;
    size_t at, end; /* the next row, and where the data end */
    const unsigned char *eol;
    size_t eol_length;
    Buffer out, scratch;
    Nonces nonces;
} Course;

/* The next row; whether it is one, and all its values were sealed. */
static int seal_row(Seals *self, Course *course)
{
    const unsigned char *in = course->in;
    size_t kept = course->at;
    size_t next = self->form == NULL
                      ? tuple_read(in, kept, course->end, self->spans, (size_t)self->count)
                      : line_read(self->form, in, kept, course->end, course->eol, course->eol_length, self->spans,
                                  (size_t)self->count);
    if (next == 0 || next - kept > self->max_row)
        return 0;
    size_t size = next - kept;
    unsigned char *scratch = buffer_reserve(&course->scratch, 2 * size);
    if (scratch == NULL)
        return 0;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Sealing *column = &self->columns[i];
        const Span *span = &self->spans[i];
        column->sealed_in_row = 0;
        if (!column->is_sealed)
            continue;
        const unsigned char *value = in + span->start;
        size_t length = span->end - span->start, lead = self->form == NULL ? 4 : 0;
        if (self->form == NULL ? span->is_marked : !is_value(self->form, value, length))
            continue;
        if (self->form != NULL)
            value = field_value(self->form, in, span, scratch, &length);
        size_t expected = (size_t)self->sealed_count * ((course->end - course->at) / size + 1);
        if (!buffer_add(&course->out, in + kept, span->start - lead - kept) ||
            !seal_value(column, value, length, self->form == NULL,
                        self->form == NULL || self->form->is_csv ? "\\x" : "\\\\x", scratch + size, &course->nonces,
                        expected, &course->out))
            return 0;
        kept = span->end;
    }
    if (!buffer_add(&course->out, in + kept, next - kept))
        return 0;
    for (Py_ssize_t i = 0; i < self->count; i++)
        self->columns[i].sealed += self->columns[i].sealed_in_row;
    course->at = next;
    return 1;
}

PyDoc_STRVAR(seals_seal_doc,
             "seal(data, at, eol, rows): seals as many rows of `data` from `at` on, up to one that Python must look at.\n\n"
             "Returns the sealed rows, where it stopped, how many rows they are, and for each column how many values were\n"
             "sealed, and how often its key was used: at most `rows` times.");

/* A count of each column, as a tuple. */
static PyObject *counts_of(Seals *self, int is_counted, size_t offset)
{
    PyObject *made = PyTuple_New(self->count);
    for (Py_ssize_t i = 0; made != NULL && i < self->count; i++) {
        const Py_ssize_t *count = (const Py_ssize_t *)((const char *)&self->columns[i] + offset);
        PyObject *number = PyLong_FromSsize_t(is_counted ? *count : 0);
        if (number == NULL || PyTuple_SetItem(made, i, number) < 0) {
            Py_DECREF(made);
            return NULL;
        }
    }
    return made;
}

static PyObject *seals_seal(PyObject *object, PyObject *args)
{
    Seals *self = (Seals *)object;
    PyObject *data;
    const char *eol;
    Py_ssize_t start, eol_length, most, rows = 0;
    if (!PyArg_ParseTuple(args, "Sny#n:seal", &data, &start, &eol, &eol_length, &most))
        return NULL;
    if (start < 0 || start > PyBytes_Size(data)) {
        PyErr_SetString(PyExc_ValueError, "outside of the data");
        return NULL;
    }
    if (self->form != NULL && eol_length != 1 && eol_length != 2) {
        PyErr_SetString(PyExc_ValueError, "no such end of lines");
        return NULL;
    }
    Course course = {.in = (const unsigned char *)PyBytes_AsString(data), .at = (size_t)start,
                     .end = (size_t)PyBytes_Size(data), .eol = (const unsigned char *)eol,
                     .eol_length = (size_t)eol_length};
    int is_claimed = !self->is_busy; /* a conversion in Python may come back here */
    if (is_claimed) {
        self->is_busy = 1;
        for (Py_ssize_t i = 0; i < self->count; i++)
            self->columns[i].sealed = self->columns[i].used = 0;
        size_t size = course.end - course.at;
        buffer_reserve(&course.out, size < MAX_AHEAD ? 4 * size : 4 * MAX_AHEAD);
        for (size_t used; rows < most && course.at < course.end; rows++) {
            used = course.out.used;
            if (!seal_row(self, &course)) {
                course.out.used = used;
                break;
            }
        }
        self->is_busy = 0;
    }
    PyObject *answer = NULL;
    PyObject *sealed = PyErr_Occurred() ? NULL : counts_of(self, is_claimed, offsetof(Sealing, sealed));
    PyObject *used = sealed == NULL ? NULL : counts_of(self, is_claimed, offsetof(Sealing, used));
    if (used != NULL) {
        const char *bytes = course.out.used == 0 ? "" : (const char *)course.out.bytes;
        answer = Py_BuildValue("(y#nnOO)", bytes, (Py_ssize_t)course.out.used, (Py_ssize_t)course.at, rows, sealed,
                               used);
    }
    Py_XDECREF(sealed);
    Py_XDECREF(used);
    free(course.out.bytes);
    free(course.scratch.bytes);
    return answer;
}

static PyMethodDef seals_methods[] = {
    {"seal", seals_seal, METH_VARARGS, seals_seal_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot seals_slots[] = {
    {Py_tp_new, seals_new},         {Py_tp_dealloc, seals_dealloc}, {Py_tp_methods, seals_methods},
    {Py_tp_doc, "Seals(columns, form, max_row): seals the rows of one COPY FROM."}, {0, NULL},
};
static PyType_Spec seals_spec = {"pgcrypt_proxy.fast.native.Seals", sizeof(Seals), 0, Py_TPFLAGS_DEFAULT, seals_slots};

#endif
