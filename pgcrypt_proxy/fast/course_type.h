/* Course as Python has it. */
#ifndef PGCRYPT_COURSE_TYPE_H
#define PGCRYPT_COURSE_TYPE_H

PyDoc_STRVAR(arm_doc, "arm(keys_until): take what comes from now on. `keys_until` is a time of CLOCK_MONOTONIC.");

static PyObject *course_arm(PyObject *object, PyObject *until)
{
    Courses *self = (Courses *)object;
    double keys_until = PyFloat_AsDouble(until);
    if (keys_until == -1.0 && PyErr_Occurred())
        return NULL;
    self->keys_until = keys_until;
    self->is_armed = self->settled != NULL;
    Py_RETURN_NONE;
}

static PyObject *taken_for_python(Taken *taken)
{
    if (taken->route == NULL)
        Py_RETURN_NONE;
    if (taken->data == NULL)
        return Py_BuildValue("(iOOOO)", taken->kind, (PyObject *)taken->route, Py_None, Py_False, Py_None);
    if (taken->kind == OF_TEMPLATE) {
        PyObject *made = PyTuple_New(taken->made_count);
        for (int i = 0; made != NULL && i < taken->made_count; i++) {
            PyObject *length = PyLong_FromLong((long)taken->made[i]);
            if (length == NULL || PyTuple_SetItem(made, i, length) < 0)
                Py_CLEAR(made);
        }
        return made == NULL ? NULL
                            : Py_BuildValue("(iO(OON)OO)", taken->kind, (PyObject *)taken->route, taken->template,
                                            taken->data, made, Py_False, Py_None);
    }
    if (taken->kind == QUERY || taken->kind == HANDED)
        return Py_BuildValue("(iOOOO)", taken->kind, (PyObject *)taken->route, taken->data, Py_False, Py_None);
    return Py_BuildValue("(iOy#OO)", taken->kind, (PyObject *)taken->route,
                         PyBytes_AsString(taken->data) + taken->bind, taken->bind_end - taken->bind,
                         taken->is_described ? Py_True : Py_False, taken->result == NULL ? Py_None : taken->result);
}

PyDoc_STRVAR(leave_doc,
             "leave(): take nothing more, and say what was done since `arm`.\n\n"
             "None if nothing was, else of the courses that are over how many executions and Syncs were in them, how many\n"
             "texts of untouched and of rewritten statements, how often the server was idle behind them, and its last\n"
             "status; then the last of them and the one that is under way, each (kind, route, sent, is described, result) or\n"
             "None; `sent` is a Bind, a Query, what was handed over, or of one known by its template (template, the client's\n"
             "Query, how long each sealed literal became), None once it is over.");

static PyObject *course_leave(PyObject *object, PyObject *unused)
{
    Courses *self = (Courses *)object;
    (void)unused;
    self->is_armed = 0;
    if (self->finished == 0 && self->flight.route == NULL)
        Py_RETURN_NONE;
    PyObject *last = taken_for_python(&self->last), *flight = taken_for_python(&self->flight), *answer = NULL;
    if (last != NULL && flight != NULL)
        answer = Py_BuildValue("(LLLLLiOO)", self->executions, self->batches, self->untouched, self->rewritten, self->idles,
                               self->status, last, flight);
    Py_XDECREF(last);
    Py_XDECREF(flight);
    if (answer != NULL) {
        taken_drop(&self->last);
        taken_drop(&self->flight);
        self->finished = self->executions = self->batches = self->untouched = self->rewritten = self->idles = 0;
    }
    return answer;
}

PyDoc_STRVAR(hand_doc,
             "hand(route, note): a Query of that route is sent; take its answer once armed. Whether that is possible.");

static PyObject *course_hand(PyObject *object, PyObject *args)
{
    Courses *self = (Courses *)object;
    PyObject *route, *note;
    if (!PyArg_ParseTuple(args, "O!O:hand", route_type, &route, &note))
        return NULL;
    if (self->settled == NULL || self->flight.route != NULL || ((Route *)route)->epoch != self->epoch)
        Py_RETURN_FALSE;
    Py_INCREF(route);
    Py_INCREF(note);
    self->flight = (Taken){.route = (Route *)route, .data = note, .kind = HANDED};
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(add_doc, "add(kind, key, route, limit): what `key` means from now on; more than `limit` of a kind are forgotten.");

static PyObject *course_add(PyObject *object, PyObject *args)
{
    Courses *self = (Courses *)object;
    PyObject *key, *route;
    int kind;
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(args, "iSO!n:add", &kind, &key, route_type, &route, &limit))
        return NULL;
    if (kind < 0 || kind >= COURSES || self->settled == NULL) {
        PyErr_SetString(PyExc_ValueError, "no such kind of course");
        return NULL;
    }
    if (PyDict_Size(self->routes[kind]) >= limit)
        PyDict_Clear(self->routes[kind]);
    if (PyDict_SetItem(self->routes[kind], key, route) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(known_doc, "known(kind, key): the route that holds now, or None.");

static PyObject *course_known(PyObject *object, PyObject *args)
{
    Courses *self = (Courses *)object;
    PyObject *key;
    int kind;
    if (!PyArg_ParseTuple(args, "iS:known", &kind, &key))
        return NULL;
    if (kind < 0 || kind >= COURSES || self->settled == NULL)
        Py_RETURN_NONE;
    Route *route = (Route *)PyDict_GetItem(self->routes[kind], key);
    if (route == NULL || route->epoch != self->epoch)
        Py_RETURN_NONE;
    Py_INCREF((PyObject *)route);
    return (PyObject *)route;
}

PyDoc_STRVAR(renew_doc, "renew(): all routes made before hold no longer. Returns the epoch of those to be made.");

static PyObject *course_renew(PyObject *object, PyObject *unused)
{
    Courses *self = (Courses *)object;
    (void)unused;
    for (int i = 0; i < COURSES && self->settled != NULL; i++)
        PyDict_Clear(self->routes[i]);
    if (self->templates != NULL)
        PyDict_Clear(self->templates);
    return PyLong_FromLongLong(++self->epoch);
}

static PyObject *take(PyObject *object, PyObject *data, PyObject *(*taking)(Courses *, PyObject *))
{
    if (!PyBytes_CheckExact(data)) {
        PyErr_SetString(PyExc_TypeError, "bytes are taken");
        return NULL;
    }
    PyObject *made = taking((Courses *)object, data);
    if (made == NULL)
        Py_RETURN_NONE;
    return made;
}

static PyObject *course_requests(PyObject *object, PyObject *data)
{
    return take(object, data, course_take_requests);
}

static PyObject *course_replies(PyObject *object, PyObject *data)
{
    return take(object, data, course_take_replies);
}

PyDoc_STRVAR(stream_doc,
             "stream(rows, kept, limit, keys_until): take the rows of a result, too, from `kept`, the beginning of one, on.\n\n"
             "Messages are taken that are shorter than `limit`. Whether there is now a stream that was none before.");

static PyObject *course_stream(PyObject *object, PyObject *args)
{
    Courses *self = (Courses *)object;
    PyObject *rows;
    const char *kept;
    Py_ssize_t kept_size, limit;
    double keys_until;
    if (!PyArg_ParseTuple(args, "O!y#nd:stream", rows_type, &rows, &kept, &kept_size, &limit, &keys_until))
        return NULL;
    if (self->settled == NULL || self->stream.rows != NULL || limit < 0)
        Py_RETURN_FALSE;
    Py_INCREF(rows);
    self->stream.rows = (Rows *)rows;
    self->stream.limit = (size_t)limit;
    self->keys_until = keys_until;
    if (stream_wants(&self->stream, (const unsigned char *)kept, (size_t)kept_size) == 0 ||
        !stream_keep(&self->stream, (const unsigned char *)kept, (size_t)kept_size)) {
        stream_end(&self->stream);
        Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(rows_doc,
             "rows(data): what the client gets of these bytes in a stream, and what is left to Python, at which the stream\n"
             "has ended, or None. None if there is no stream.");

static PyObject *course_rows(PyObject *object, PyObject *data)
{
    Courses *self = (Courses *)object;
    if (!PyBytes_CheckExact(data)) {
        PyErr_SetString(PyExc_TypeError, "bytes are taken");
        return NULL;
    }
    if (self->stream.rows == NULL)
        Py_RETURN_NONE;
    PyObject *rest, *made = stream_take(&self->stream, data, self->keys_until, &rest), *answer = NULL;
    if (!PyErr_Occurred())
        answer = Py_BuildValue("(OO)", made == NULL ? Py_None : made, rest == NULL ? Py_None : rest);
    Py_XDECREF(made);
    Py_XDECREF(rest);
    return answer;
}

PyDoc_STRVAR(halt_doc, "halt(): end the stream, if there is one. The beginning of a row that it has kept, or None.");

static PyObject *course_halt(PyObject *object, PyObject *unused)
{
    Stream *stream = &((Courses *)object)->stream;
    (void)unused;
    if (stream->rows == NULL)
        Py_RETURN_NONE;
    PyObject *kept = PyBytes_FromStringAndSize((const char *)stream->kept, (Py_ssize_t)stream->kept_size);
    if (kept != NULL)
        stream_end(stream);
    return kept;
}

PyDoc_STRVAR(close_course_doc, "close(): take nothing any more, and let go of everything.");

static PyObject *course_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    course_clear(object);
    Py_RETURN_NONE;
}

static PyMethodDef course_methods[] = {
    {"arm", course_arm, METH_O, arm_doc},
    {"leave", course_leave, METH_NOARGS, leave_doc},
    {"hand", course_hand, METH_VARARGS, hand_doc},
    {"add", course_add, METH_VARARGS, add_doc},
    {"set_templates", course_set_templates, METH_VARARGS, set_templates_doc},
    {"forget_templates", course_forget_templates, METH_NOARGS, "forget_templates(): all of them."},
    {"known", course_known, METH_VARARGS, known_doc},
    {"renew", course_renew, METH_NOARGS, renew_doc},
    {"requests", course_requests, METH_O, "requests(data): what goes to the server in its place, or None: not taken."},
    {"replies", course_replies, METH_O, "replies(data): what goes to the client in its place, or None: not taken."},
    {"stream", course_stream, METH_VARARGS, stream_doc},
    {"rows", course_rows, METH_O, rows_doc},
    {"halt", course_halt, METH_NOARGS, halt_doc},
    {"close", course_close, METH_NOARGS, close_course_doc},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot course_slots[] = {
    {Py_tp_new, course_new},
    {Py_tp_dealloc, course_dealloc},
    {Py_tp_traverse, course_traverse},
    {Py_tp_clear, course_clear},
    {Py_tp_methods, course_methods},
    {Py_tp_doc, "Course(settled): the courses of one session; `settled` are its prepared statements by name."},
    {0, NULL},
};
static PyType_Spec course_spec = {"pgcrypt_proxy.fast.native.Course", sizeof(Courses), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, course_slots};

#endif
