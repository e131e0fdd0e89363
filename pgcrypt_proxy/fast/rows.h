/* Opens the rows of one result, or of one COPY TO, for Python. */
#ifndef PGCRYPT_ROWS_H
#define PGCRYPT_ROWS_H

#define GIL_BYTES 32768 /* from here on a run is long enough to let other threads go on */
#define SLICE 49152
#define SMALL_RUN 2048 /* up to here the stack is enough */

/* How much of a run is opened at once: little enough for the caches, or one row if that is longer. */
static size_t slice_of(const unsigned char *in, size_t size)
{
    if (size <= SLICE)
        return size;
    uint32_t length = load32(in + 1);
    size_t row = (size_t)length + 1;
    return row > size ? size : row > SLICE ? row : SLICE;
}

PyDoc_STRVAR(open_doc,
             "open(run, at): opens the rows of `run` from `at` on, up to one that Python must look at, or a slice.\n\n"
             "Returns the opened rows, where it stopped, and for each column how many values it opened.");

static PyObject *rows_open(PyObject *object, PyObject *args)
{
    Rows *self = (Rows *)object;
    PyObject *run;
    Py_ssize_t start;
    if (!PyArg_ParseTuple(args, "Sn:open", &run, &start))
        return NULL;
    Py_ssize_t size = PyBytes_Size(run);
    if (start < 0 || start > size) {
        PyErr_SetString(PyExc_ValueError, "outside of the run");
        return NULL;
    }
    const unsigned char *in = (const unsigned char *)PyBytes_AsString(run);
    size_t room = slice_of(in + start, (size_t)(size - start)), at = (size_t)start, used = 0;
    unsigned char small[3 * SMALL_RUN], *out = small;
    if (room > SMALL_RUN && (out = PyMem_Malloc((self->form == NULL ? 2 : 3) * room)) == NULL)
        return PyErr_NoMemory();
    int is_claimed = rows_claim(self);
    if (is_claimed) {
        unsigned char *scratch = out + room, *value = scratch + room;
        for (Py_ssize_t i = 0; i < self->count; i++)
            self->columns[i].opened = 0;
        if (room >= GIL_BYTES && !self->has_convert) {
            Py_BEGIN_ALLOW_THREADS
            used = open_rows(self, in, (size_t)start + room, &at, scratch, value, out);
            Py_END_ALLOW_THREADS
        } else {
            used = open_rows(self, in, (size_t)start + room, &at, scratch, value, out);
        }
        rows_release(self);
    }
    PyObject *answer = NULL, *counts = PyErr_Occurred() ? NULL : PyTuple_New(self->count);
    for (Py_ssize_t i = 0; counts != NULL && i < self->count; i++) {
        PyObject *number = PyLong_FromSsize_t(is_claimed ? self->columns[i].opened : 0);
        if (number == NULL || PyTuple_SetItem(counts, i, number) < 0) {
            Py_DECREF(counts);
            counts = NULL;
        }
    }
    if (counts != NULL) {
        answer = Py_BuildValue("(y#nO)", (const char *)out, (Py_ssize_t)used, (Py_ssize_t)at, counts);
        Py_DECREF(counts);
    }
    if (out != small)
        PyMem_Free(out);
    return answer;
}

PyDoc_STRVAR(counts_doc, "counts(): how many values of each column a Course has opened since, and in how many seconds.");

static PyObject *rows_counts(PyObject *object, PyObject *unused)
{
    Rows *self = (Rows *)object;
    (void)unused;
    PyObject *counts = PyTuple_New(self->count);
    for (Py_ssize_t i = 0; counts != NULL && i < self->count; i++) {
        PyObject *number = PyLong_FromSsize_t(self->columns[i].uncounted);
        if (number == NULL || PyTuple_SetItem(counts, i, number) < 0)
            Py_CLEAR(counts);
        self->columns[i].uncounted = 0;
    }
    PyObject *answer = counts == NULL ? NULL : Py_BuildValue("(Od)", counts, self->seconds);
    Py_XDECREF(counts);
    self->seconds = 0;
    return answer;
}

static PyMethodDef rows_methods[] = {
    {"open", rows_open, METH_VARARGS, open_doc},
    {"counts", rows_counts, METH_NOARGS, counts_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot rows_slots[] = {
    {Py_tp_new, rows_new},         {Py_tp_dealloc, rows_dealloc}, {Py_tp_methods, rows_methods},
    {Py_tp_doc, "Rows(columns, message, form): opens the rows of one result, or of one COPY."}, {0, NULL},
};
static PyType_Spec rows_spec = {"pgcrypt_proxy.fast.native.Rows", sizeof(Rows), 0, Py_TPFLAGS_DEFAULT, rows_slots};

#endif
