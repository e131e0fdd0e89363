/* The hot path in C: runs of messages, and rows whose sealed values are opened as they are copied; COPY's rows are
 * sealed, too (copy.h).
 *
 * Knows the shape of DataRow (protocol-message-formats.html) and of the envelope (docs/envelope.md); knows no
 * SQL, no rules and no errors. It does what is straight and leaves the rest, row by row, to the reference in
 * Python, which then does it or says what is wrong. So nothing here has to explain, and everything may give up.
 *
 * Every read is behind a check of the length, every write too: an opened value is never longer than the sealed
 * one it stands for, so an output of the input's size is always enough.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <structmember.h>

#include "libcrypto.h"
#include "text.h"

#define ENVELOPE_HEADER 6
#define TERM_LENGTH 16
#define MAX_HEAD (ENVELOPE_HEADER + 2 * TERM_LENGTH)

#include "cipher.h"
#include "copy.h"
#include "columns.h"
#include "open.h"
#include "rows.h"

#include "fingerprint.h"

#include "binder.h"
#include "route.h"
#include "stream.h"
#include "template.h"
#include "course.h"
#include "queries.h"
#include "course_type.h"
#include "port.h"

static PyTypeObject *seals_type;

/* ---- runs of messages */

PyDoc_STRVAR(run_doc, "run(data, at, kinds, limit): where the whole messages of those kinds end, and their number.");

static PyObject *run_of(PyObject *module, PyObject *args)
{
    Py_buffer data;
    const char *kinds;
    Py_ssize_t at, kind_count, count = 0;
    unsigned int limit;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*ny#I:run", &data, &at, &kinds, &kind_count, &limit))
        return NULL;
    if (at < 0 || at > data.len) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "outside of the data");
        return NULL;
    }
    const unsigned char *bytes = data.buf;
    size_t here = (size_t)at, size = (size_t)data.len;
    while (size - here >= 5 && memchr(kinds, bytes[here], (size_t)kind_count) != NULL) {
        uint32_t length = load32(bytes + here + 1);
        if (length < 4 || length > limit || length >= size - here)
            break;
        here += (size_t)length + 1;
        count++;
    }
    PyBuffer_Release(&data);
    return Py_BuildValue("(nn)", (Py_ssize_t)here, count);
}

static PyMethodDef functions[] = {
    {"run", run_of, METH_VARARGS, run_doc},
    {"fingerprint", fingerprint_of, METH_O, fingerprint_doc},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "native", "Runs of messages, and rows, in C.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_native(void)
{
    const char *problem = crypto_load();
    if (problem != NULL) {
        PyErr_SetString(PyExc_ImportError, problem);
        return NULL;
    }
    text_init();
    fingerprint_init();
    if (pthread_atfork(NULL, NULL, on_fork) != 0) {
        PyErr_SetString(PyExc_ImportError, "forks would not be noticed");
        return NULL;
    }
    if ((is_wrong = PyUnicode_InternFromString("is_wrong")) == NULL)
        return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    const struct {
        const char *name;
        PyType_Spec *spec;
        PyTypeObject **type;
    } types[] = {
        {"Cipher", &cipher_spec, &cipher_type}, {"Mac", &mac_spec, &mac_type},
        {"Rows", &rows_spec, &rows_type},       {"Seals", &seals_spec, &seals_type},
        {"Binder", &binder_spec, &binder_type}, {"Route", &route_spec, &route_type},
        {"Course", &course_spec, &course_type}, {"Outlet", &outlet_spec, &outlet_type},
        {"Port", &port_spec, &port_type},       {"Template", &template_spec, &template_type},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        *types[i].type = (PyTypeObject *)PyType_FromSpec(types[i].spec);
        if (*types[i].type == NULL || PyModule_AddObjectRef(module, types[i].name, (PyObject *)*types[i].type) < 0) {
            Py_DECREF(module);
            return NULL;
        }
    }
    return module;
}
