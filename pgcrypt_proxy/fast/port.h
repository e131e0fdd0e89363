/* The bytes of one leg: those of a known course go on at once, all others to Python.
 *
 * An Outlet writes to a socket itself while its transport has nothing left to write and is not closing. What the
 * socket does not take now, and all where the transport is more than a plain socket, is the transport's to write.
 */
#ifndef PGCRYPT_PORT_H
#define PGCRYPT_PORT_H

#include <errno.h>
#include <sys/socket.h>

#define MAX_REQUESTS 16384

static PyTypeObject *outlet_type, *port_type;

/* ---- Outlet: where one leg is written to */

typedef struct {
    PyObject_HEAD
    PyObject *write, *pending, *is_closing;
    int fd;
} Outlet;

static int outlet_traverse(PyObject *object, visitproc visit, void *arg)
{
    Outlet *self = (Outlet *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->write);
    Py_VISIT(self->pending);
    Py_VISIT(self->is_closing);
    return 0;
}

static int outlet_clear(PyObject *object)
{
    Outlet *self = (Outlet *)object;
    self->fd = -1;
    Py_CLEAR(self->write);
    Py_CLEAR(self->pending);
    Py_CLEAR(self->is_closing);
    return 0;
}

static void outlet_dealloc(PyObject *object)
{
    gc_dealloc(object, outlet_clear);
}

static PyObject *outlet_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *transport;
    int fd;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "Oi:Outlet", &transport, &fd))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Outlet *self = (Outlet *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->fd = fd;
    self->write = PyObject_GetAttrString(transport, "write");
    self->pending = PyObject_GetAttrString(transport, "get_write_buffer_size");
    self->is_closing = PyObject_GetAttrString(transport, "is_closing");
    if (self->write == NULL || self->pending == NULL || self->is_closing == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Whether a question to the transport is answered by something false; -1 with an exception. */
static int is_answered_no(PyObject *question)
{
    PyObject *answer = PyObject_CallNoArgs(question);
    if (answer == NULL)
        return -1;
    int is_no = PyObject_Not(answer);
    Py_DECREF(answer);
    return is_no;
}

static PyObject *outlet_send(Outlet *self, PyObject *data)
{
    if (self->write == NULL)
        Py_RETURN_NONE;
    int is_free = self->fd < 0 ? 0 : is_answered_no(self->pending);
    if (is_free == 1)
        is_free = is_answered_no(self->is_closing);
    if (is_free < 0)
        return NULL;
    Py_ssize_t sent = 0, size = PyBytes_Size(data);
    if (is_free) {
        do
            sent = send(self->fd, PyBytes_AsString(data), (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (sent < 0 && errno == EINTR);
        if (sent == size)
            Py_RETURN_NONE;
        if (sent < 0)
            sent = 0; /* the transport meets the same error, and says what becomes of the connection */
    }
    if (sent == 0)
        return PyObject_CallFunctionObjArgs(self->write, data, NULL);
    PyObject *rest = PyBytes_FromStringAndSize(PyBytes_AsString(data) + sent, size - sent);
    if (rest == NULL)
        return NULL;
    PyObject *done = PyObject_CallFunctionObjArgs(self->write, rest, NULL);
    Py_DECREF(rest);
    return done;
}

static PyObject *outlet_write(PyObject *object, PyObject *data)
{
    if (!PyBytes_CheckExact(data)) {
        PyErr_SetString(PyExc_TypeError, "bytes are written");
        return NULL;
    }
    return outlet_send((Outlet *)object, data);
}

static PyObject *outlet_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    outlet_clear(object);
    Py_RETURN_NONE;
}

static PyMethodDef outlet_methods[] = {
    {"write", outlet_write, METH_O, "write(data): in order with what the transport has to write."},
    {"close", outlet_close, METH_NOARGS, "close(): what is written from now on is lost, as on a closed transport."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot outlet_slots[] = {
    {Py_tp_new, outlet_new},
    {Py_tp_dealloc, outlet_dealloc},
    {Py_tp_traverse, outlet_traverse},
    {Py_tp_clear, outlet_clear},
    {Py_tp_methods, outlet_methods},
    {Py_tp_doc, "Outlet(transport, fd): `fd` is the transport's socket, or -1 when only the transport may write to it."},
    {0, NULL},
};
static PyType_Spec outlet_spec = {"pgcrypt_proxy.fast.native.Outlet", sizeof(Outlet), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, outlet_slots};

/* ---- Port: where one leg is read from */

typedef struct {
    PyObject_HEAD
    Courses *course;
    Outlet *other;
    PyObject *fallback;
    int is_frontend;
} Port;

static int port_traverse(PyObject *object, visitproc visit, void *arg)
{
    Port *self = (Port *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT((PyObject *)self->course);
    Py_VISIT((PyObject *)self->other);
    Py_VISIT(self->fallback);
    return 0;
}

static int port_clear(PyObject *object)
{
    Port *self = (Port *)object;
    Py_CLEAR(self->course);
    Py_CLEAR(self->other);
    Py_CLEAR(self->fallback);
    return 0;
}

static void port_dealloc(PyObject *object)
{
    gc_dealloc(object, port_clear);
}

static PyObject *port_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *course, *fallback, *other;
    int is_frontend;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "O!pO!O:Port", course_type, &course, &is_frontend, outlet_type, &other, &fallback))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Port *self = (Port *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->is_frontend = is_frontend;
    Py_INCREF(course);
    self->course = (Courses *)course;
    Py_INCREF(other);
    self->other = (Outlet *)other;
    Py_INCREF(fallback);
    self->fallback = fallback;
    return (PyObject *)self;
}

static PyObject *port_data_received(PyObject *object, PyObject *data)
{
    Port *self = (Port *)object;
    if (self->course == NULL)
        Py_RETURN_NONE;
    PyObject *made = NULL, *rest = NULL, *done = NULL;
    if (!self->is_frontend && self->course->stream.rows != NULL && PyBytes_CheckExact(data)) {
        made = stream_take(&self->course->stream, data, self->course->keys_until, &rest);
        if (PyErr_Occurred())
            return NULL;
    } else if (self->course->is_armed && PyBytes_CheckExact(data)) {
        if (!self->is_frontend)
            made = course_take_replies(self->course, data);
        else if (PyBytes_Size(data) <= MAX_REQUESTS)
            made = course_take_requests(self->course, data);
        rest = made == NULL ? Py_NewRef(data) : NULL;
    } else {
        rest = Py_NewRef(data);
    }
    /* Either call may end the connection, and so close this. */
    Py_INCREF(object);
    Outlet *other = self->other;
    PyObject *fallback = self->fallback;
    Py_INCREF((PyObject *)other);
    Py_INCREF(fallback);
    if (made != NULL)
        done = outlet_send(other, made);
    if (rest != NULL && (made == NULL || done != NULL)) {
        Py_XDECREF(done);
        done = PyObject_CallFunctionObjArgs(fallback, rest, NULL);
    }
    if (made == NULL && rest == NULL)
        done = Py_NewRef(Py_None);
    Py_DECREF((PyObject *)other);
    Py_DECREF(fallback);
    Py_XDECREF(made);
    Py_XDECREF(rest);
    Py_DECREF(object);
    return done;
}

static PyObject *port_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    port_clear(object);
    Py_RETURN_NONE;
}

static PyMethodDef port_methods[] = {
    {"data_received", port_data_received, METH_O, "data_received(data): as of asyncio.Protocol."},
    {"close", port_close, METH_NOARGS, "close(): take nothing any more."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot port_slots[] = {
    {Py_tp_new, port_new},
    {Py_tp_dealloc, port_dealloc},
    {Py_tp_traverse, port_traverse},
    {Py_tp_clear, port_clear},
    {Py_tp_methods, port_methods},
    {Py_tp_doc, "Port(course, is_frontend, other, fallback): `other` is the Outlet of the leg that known courses go on to,\n"
                "`fallback` is given all that is not one."},
    {0, NULL},
};
static PyType_Spec port_spec = {"pgcrypt_proxy.fast.native.Port", sizeof(Port), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, port_slots};

#endif
