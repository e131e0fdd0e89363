/* The course of statements that were seen before, taken as a whole: what a client sends up to Sync in one piece,
 * and all that answers it in one piece (protocol-flow.html, extended query and simple query).
 *
 * A Route (route.h) is what is known of one statement; `session/courses.py` makes it, once the reference in Python
 * has taken that course. A Course takes messages only while it is armed: Python arms it when nothing at all is pending
 * in the session, and disarms it before it looks at, or changes, anything. At most one course is in flight. Whatever
 * is not exactly what was seen before changes nothing here and is left to Python.
 */
#ifndef PGCRYPT_COURSE_H
#define PGCRYPT_COURSE_H

#define MAX_REPLY 65536

enum { BIND, PARSE, QUERY, COURSES };
#define HANDED COURSES         /* a Query that Python has sent: its answer is taken like a QUERY's */
#define OF_TEMPLATE (HANDED + 1) /* a Query known by its template */

static const unsigned char describe_portal[7] = {'D', 0, 0, 0, 6, 'P', 0};
static const unsigned char execute_and_sync[15] = {'E', 0, 0, 0, 9, 0, 0, 0, 0, 0, 'S', 0, 0, 0, 4};
static const unsigned char bind_complete[5] = {'2', 0, 0, 0, 4};
static const unsigned char parse_complete[5] = {'1', 0, 0, 0, 4};
static const unsigned char ready[5] = {'Z', 0, 0, 0, 5};

static PyTypeObject *course_type;

typedef struct {
    Route *route;
    PyObject *result; /* of the description that was seen, once it was */
    PyObject *data;   /* what the server was sent: Bind to Sync, Parse to Sync, or a Query; of HANDED Python's note; of
                         OF_TEMPLATE what the client sent */
    Py_ssize_t bind, bind_end;
    int kind, is_described;
    PyObject *template; /* Python's */
    uint32_t made[MAX_MADE]; /* how long its sealed literals became */
    int made_count;
} Taken;

typedef struct {
    PyObject_HEAD
    PyObject *settled;                /* the session's own dict: prepared statements by name */
    PyObject *routes[COURSES];        /* by statement's name, by Parse's text and types, by Query's text */
    PyObject *templates;              /* tuples of them by their key */
    long long epoch, finished, executions, batches, untouched, rewritten, idles;
    double keys_until;
    int is_armed, status;
    Taken flight, last;
    Stream stream;
} Courses;

static void taken_drop(Taken *taken)
{
    Py_CLEAR(taken->route);
    Py_CLEAR(taken->data);
    Py_CLEAR(taken->result);
    Py_CLEAR(taken->template);
}

static int course_traverse(PyObject *object, visitproc visit, void *arg)
{
    Courses *self = (Courses *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->settled);
    for (int i = 0; i < COURSES; i++)
        Py_VISIT(self->routes[i]);
    Py_VISIT(self->templates);
    for (int i = 0; i < 2; i++) {
        Taken *taken = i ? &self->last : &self->flight;
        Py_VISIT((PyObject *)taken->route);
        Py_VISIT(taken->data);
        Py_VISIT(taken->result);
        Py_VISIT(taken->template);
    }
    Py_VISIT((PyObject *)self->stream.rows);
    return 0;
}

static int course_clear(PyObject *object)
{
    Courses *self = (Courses *)object;
    self->is_armed = 0;
    Py_CLEAR(self->settled);
    for (int i = 0; i < COURSES; i++)
        Py_CLEAR(self->routes[i]);
    Py_CLEAR(self->templates);
    taken_drop(&self->flight);
    taken_drop(&self->last);
    stream_end(&self->stream);
    return 0;
}

static void course_dealloc(PyObject *object)
{
    gc_dealloc(object, course_clear);
}

static PyObject *course_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *settled;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "O!:Course", &PyDict_Type, &settled))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Courses *self = (Courses *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(settled);
    self->settled = settled;
    for (int i = 0; i < COURSES; i++)
        if ((self->routes[i] = PyDict_New()) == NULL) {
            Py_DECREF(self);
            return NULL;
        }
    if ((self->templates = PyDict_New()) == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* The route of that kind under that key, borrowed, if it holds now; NULL without an exception. */
static Route *course_route(Courses *self, int kind, const unsigned char *key, size_t length)
{
    PyObject *name = PyBytes_FromStringAndSize((const char *)key, (Py_ssize_t)length);
    if (name == NULL) {
        PyErr_Clear();
        return NULL;
    }
    Route *route = (Route *)PyDict_GetItem(self->routes[kind], name);
    if (route != NULL && (route->epoch != self->epoch ||
                          (kind == BIND && PyDict_GetItem(self->settled, name) != route->statement) ||
                          (route->is_keyed && monotonic() >= self->keys_until)))
        route = NULL;
    Py_DECREF(name);
    return route;
}

/* Where the message at `at` ends if it is whole, else 0. */
static size_t message_end(const unsigned char *in, size_t at, size_t size)
{
    if (size - at < 5)
        return 0;
    uint32_t length = load32(in + at + 1);
    return length < 4 || length >= size - at ? 0 : at + (size_t)length + 1;
}

/* What the server gets of Parse and Bind, which end at `end`, and of what is behind them. */
static PyObject *rewritten(Taken *taken, const unsigned char *in, size_t size, size_t end)
{
    size_t bind = (size_t)taken->bind, bind_end = end;
    PyObject *parse = taken->route->parse, *made;
    const unsigned char *before = parse == NULL ? in : (const unsigned char *)PyBytes_AsString(parse);
    size_t before_length = parse == NULL ? bind : (size_t)PyBytes_Size(parse);
    if (taken->route->binder != NULL) {
        made = binder_rewrite(taken->route->binder, before, before_length, in + bind, end - bind, in + end, size - end,
                              &bind, &bind_end);
    } else {
        made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(before_length + size - bind));
        if (made != NULL) {
            memcpy(PyBytes_AsString(made), before, before_length);
            memcpy(PyBytes_AsString(made) + before_length, in + bind, size - bind);
        }
        bind_end = before_length + end - bind;
        bind = before_length;
    }
    taken->bind = (Py_ssize_t)bind;
    taken->bind_end = (Py_ssize_t)bind_end;
    return made;
}

/* Bind to Sync, or Parse to Sync, of the unnamed portal. */
static PyObject *extended_requests(Courses *self, PyObject *data, const unsigned char *in, size_t size)
{
    size_t bind = 0, end;
    Taken taken = {.data = data, .kind = BIND};
    if (in[0] == 'P') {
        bind = message_end(in, 0, size);
        if (bind == 0 || in[5] != 0 || bind > MAX_BIND)
            return NULL;
        taken.kind = PARSE;
        taken.route = course_route(self, PARSE, in + 6, bind - 6);
        if (taken.route == NULL)
            return NULL;
    }
    end = message_end(in, bind, size);
    if (end == 0 || in[bind] != 'B' || end - bind < 7 || in[bind + 5] != 0 || end - bind > MAX_BIND)
        return NULL;
    const unsigned char *name = in + bind + 6, *name_end = memchr(name, 0, end - bind - 6);
    if (name_end == NULL)
        return NULL;
    if (taken.kind == BIND)
        taken.route = course_route(self, BIND, name, (size_t)(name_end - name));
    else if (name_end != name)
        return NULL;
    if (taken.route == NULL)
        return NULL;
    size_t rest = end;
    if (size - rest > sizeof describe_portal && memcmp(in + rest, describe_portal, sizeof describe_portal) == 0) {
        taken.is_described = 1;
        rest += sizeof describe_portal;
    }
    if (size - rest != sizeof execute_and_sync || memcmp(in + rest, execute_and_sync, sizeof execute_and_sync) != 0)
        return NULL;
    taken.bind = (Py_ssize_t)bind;
    taken.bind_end = (Py_ssize_t)end;
    if (!taken.is_described) {
        /* its rows must be known by the formats that this Bind asks for */
        const unsigned char *formats = bind_formats(in + bind, end - bind);
        if (formats == NULL || route_seen(taken.route, 0, formats, (size_t)(in + end - formats)) == NULL)
            return NULL;
    }
    taken.data = taken.route->parse != NULL || taken.route->binder != NULL ? rewritten(&taken, in, size, end) : data;
    if (taken.data == NULL) {
        PyErr_Clear();
        return NULL;
    }
    if (taken.data == data)
        Py_INCREF(data);
    Py_INCREF((PyObject *)taken.route);
    self->flight = taken;
    Py_INCREF(taken.data);
    return taken.data;
}

/* queries.h */
static PyObject *query_requests(Courses *self, PyObject *data, const unsigned char *in, size_t size);

/* What goes to the server in place of `data`, a new reference; NULL, never with an exception: not taken. */
static PyObject *course_take_requests(Courses *self, PyObject *data)
{
    Py_ssize_t size = PyBytes_Size(data);
    const unsigned char *in = (const unsigned char *)PyBytes_AsString(data);
    if (!self->is_armed || self->flight.route != NULL || size < 6)
        return NULL;
    switch (in[0]) {
    case 'B':
    case 'P':
        return extended_requests(self, data, in, (size_t)size);
    case 'Q':
        return query_requests(self, data, in, (size_t)size);
    default:
        return NULL;
    }
}

/* Whether CommandComplete and ReadyForQuery are there at `at`, and nothing behind them. */
static int is_end(const unsigned char *in, size_t at, size_t size)
{
    size_t end = message_end(in, at, size);
    if (end == 0 || in[at] != 'C' || end + 6 != size || end - at < 6)
        return 0;
    if (memchr(in + at + 5, 0, end - at - 5) != in + end - 1)
        return 0;
    return memcmp(in + end, ready, sizeof ready) == 0 && (in[size - 1] == 'I' || in[size - 1] == 'T' || in[size - 1] == 'E');
}

/* The answer with its rows opened; NULL, perhaps with an exception: not taken. */
static PyObject *opened_reply(Seen *seen, const unsigned char *in, size_t size, size_t before, size_t rows, size_t rows_end)
{
    size_t shown = (size_t)PyBytes_Size(seen->shown), run = rows_end - rows;
    size_t tail = size - rows_end, room = before + shown + run + tail;
    unsigned char small[SMALL_RUN], *scratch = small;
    PyObject *answer = NULL;
    if (run > SMALL_RUN && (scratch = PyMem_Malloc(run)) == NULL)
        return PyErr_NoMemory();
    unsigned char fixed[4096], *out = fixed;
    if (room > sizeof fixed && (out = PyMem_Malloc(room)) == NULL) {
        if (scratch != small)
            PyMem_Free(scratch);
        return PyErr_NoMemory();
    }
    memcpy(out, in, before);
    memcpy(out + before, PyBytes_AsString(seen->shown), shown);
    if (rows_claim(seen->rows)) {
        double started = monotonic();
        size_t at = rows, made;
        for (Py_ssize_t i = 0; i < seen->rows->count; i++)
            seen->rows->columns[i].opened = 0;
        made = open_rows(seen->rows, in, rows_end, &at, scratch, NULL, out + before + shown);
        rows_release(seen->rows);
        if (at == rows_end) {
            memcpy(out + before + shown + made, in + rows_end, tail);
            answer = PyBytes_FromStringAndSize((const char *)out, (Py_ssize_t)(before + shown + made + tail));
            for (Py_ssize_t i = 0; i < seen->rows->count; i++)
                seen->rows->columns[i].uncounted += seen->rows->columns[i].opened;
            seen->rows->seconds += monotonic() - started;
        }
    }
    if (scratch != small)
        PyMem_Free(scratch);
    if (out != fixed)
        PyMem_Free(out);
    return answer;
}

static int is_query(int kind)
{
    return kind == QUERY || kind == HANDED || kind == OF_TEMPLATE;
}

/* What a course that was answered leaves behind. */
static int course_finish(Courses *self, int status)
{
    Taken *flight = &self->flight;
    PyObject *unnamed = NULL;
    if (flight->kind != BIND) {
        if ((unnamed = PyBytes_FromStringAndSize(NULL, 0)) == NULL)
            return -1;
        int failed = flight->kind == PARSE ? PyDict_SetItem(self->settled, unnamed, flight->route->statement)
                     : PyDict_GetItem(self->settled, unnamed) != NULL ? PyDict_DelItem(self->settled, unnamed)
                                                                      : 0;
        Py_DECREF(unnamed);
        if (failed)
            return -1;
    }
    if (flight->kind != HANDED) {
        self->untouched += flight->kind != BIND && !flight->route->is_keyed;
        self->rewritten += flight->kind != BIND && flight->route->is_keyed;
        self->executions += is_query(flight->kind) ? 1 : 2;
        self->batches += !is_query(flight->kind);
    }
    self->finished++;
    taken_drop(&self->last);
    self->last = *flight;
    memset(flight, 0, sizeof *flight);
    if (self->last.kind == OF_TEMPLATE)
        Py_CLEAR(self->last.data); /* it holds values, and nobody asks for it any more */
    self->status = status;
    self->idles += status == 'I';
    return 0;
}

/* What goes to the client in place of `data`, a new reference; NULL, never with an exception: not taken. */
static PyObject *course_take_replies(Courses *self, PyObject *data)
{
    Taken *flight = &self->flight;
    size_t size = (size_t)PyBytes_Size(data), at = 0;
    const unsigned char *in = (const unsigned char *)PyBytes_AsString(data);
    if (!self->is_armed || flight->route == NULL || size < 12 || size > MAX_REPLY)
        return NULL;
    if (flight->kind == PARSE) {
        if (memcmp(in, parse_complete, sizeof parse_complete) != 0)
            return NULL;
        at += sizeof parse_complete;
    }
    int is_simple = is_query(flight->kind);
    if (!is_simple) {
        if (size - at < sizeof bind_complete || memcmp(in + at, bind_complete, sizeof bind_complete) != 0)
            return NULL;
        at += sizeof bind_complete;
    }
    size_t before = at, rows_end;
    Seen *seen = NULL;
    if (flight->is_described || (is_simple && size > at && in[at] == 'T')) {
        size_t end = message_end(in, at, size);
        if (end == 0 || (seen = route_seen(flight->route, 1, in + at, end - at)) == NULL)
            return NULL;
        at = end;
    } else if (!is_simple) {
        const unsigned char *sent = (const unsigned char *)PyBytes_AsString(flight->data);
        const unsigned char *formats = bind_formats(sent + flight->bind, (size_t)(flight->bind_end - flight->bind));
        if (formats == NULL ||
            (seen = route_seen(flight->route, 0, formats, (size_t)(sent + flight->bind_end - formats))) == NULL)
            return NULL;
    }
    for (rows_end = at; rows_end < size && in[rows_end] == 'D';) {
        size_t end = message_end(in, rows_end, size);
        if (end == 0 || seen == NULL)
            return NULL;
        rows_end = end;
    }
    if (!is_end(in, rows_end, size))
        return NULL;
    PyObject *shown;
    if (seen == NULL || seen->rows == NULL) {
        Py_INCREF(data);
        shown = data;
    } else if (monotonic() >= self->keys_until) {
        return NULL;
    } else {
        shown = opened_reply(seen, in, size, before, at, rows_end);
    }
    if (shown == NULL || course_finish(self, in[size - 1]) < 0) {
        Py_CLEAR(shown);
        PyErr_Clear();
    } else if (seen != NULL && seen->is_described) {
        Py_INCREF(seen->result);
        self->last.result = seen->result;
    }
    return shown;
}

#endif
