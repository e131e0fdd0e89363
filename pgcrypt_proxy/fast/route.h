/* What is known of one statement: what becomes of its Parse and Bind, and of what stands before its rows. */
#ifndef PGCRYPT_ROUTE_H
#define PGCRYPT_ROUTE_H

#define MAX_SEEN 8

/* What stands before the rows (a RowDescription, NoData, or nothing), what the client gets in its place, and what
 * opens the rows; `rows` NULL: they pass. A `key` of an undescribed result is the formats that its Bind asked for. */
typedef struct {
    PyObject *key, *shown, *result; /* `result` is Python's own note on it */
    Rows *rows;
    int is_described;
} Seen;

typedef struct {
    PyObject_HEAD
    PyObject *statement;
    long long epoch;
    int is_keyed;
    Binder *binder;  /* NULL: Bind passes */
    PyObject *parse; /* the Parse that the server gets, if it is not the client's */
    Seen seen[MAX_SEEN];
    int seen_count, seen_next;
} Route;

static PyTypeObject *route_type;

static int route_traverse(PyObject *object, visitproc visit, void *arg)
{
    Route *self = (Route *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->statement);
    for (int i = 0; i < self->seen_count; i++) {
        Py_VISIT(self->seen[i].result);
        Py_VISIT((PyObject *)self->seen[i].rows);
    }
    return 0;
}

static void seen_drop(Seen *seen)
{
    Py_CLEAR(seen->key);
    Py_CLEAR(seen->shown);
    Py_CLEAR(seen->result);
    Py_CLEAR(seen->rows);
}

static int route_clear(PyObject *object)
{
    Route *self = (Route *)object;
    Py_CLEAR(self->statement);
    Py_CLEAR(self->binder);
    Py_CLEAR(self->parse);
    for (int i = 0; i < self->seen_count; i++)
        seen_drop(&self->seen[i]);
    self->seen_count = 0;
    return 0;
}

static void gc_dealloc(PyObject *object, int (*clear)(PyObject *))
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    clear(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static void route_dealloc(PyObject *object)
{
    gc_dealloc(object, route_clear);
}

static PyObject *route_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *statement, *binder, *parse;
    long long epoch;
    int is_keyed;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "OLpOO:Route", &statement, &epoch, &is_keyed, &binder, &parse))
        return NULL;
    if ((binder != Py_None && !Py_IS_TYPE(binder, binder_type)) || (parse != Py_None && !PyBytes_CheckExact(parse))) {
        PyErr_SetString(PyExc_TypeError, "a route has a Binder or None, and bytes or None");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Route *self = (Route *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(statement);
    self->statement = statement;
    self->epoch = epoch;
    self->is_keyed = is_keyed;
    if (binder != Py_None) {
        Py_INCREF(binder);
        self->binder = (Binder *)binder;
    }
    if (parse != Py_None) {
        Py_INCREF(parse);
        self->parse = parse;
    }
    return (PyObject *)self;
}

PyDoc_STRVAR(see_doc, "see(is_described, key, shown, result, rows): what stood before the rows, and what opens them.");

static PyObject *route_see(PyObject *object, PyObject *args)
{
    Route *self = (Route *)object;
    PyObject *key, *shown, *result, *rows;
    int is_described;
    if (!PyArg_ParseTuple(args, "pSSOO:see", &is_described, &key, &shown, &result, &rows))
        return NULL;
    if (rows != Py_None && !Py_IS_TYPE(rows, rows_type)) {
        PyErr_SetString(PyExc_TypeError, "rows are Rows or None");
        return NULL;
    }
    /* Rows that call Python could come back to what is under way here. */
    if (rows != Py_None && (((Rows *)rows)->has_convert || ((Rows *)rows)->message != 'D'))
        Py_RETURN_FALSE;
    for (int i = 0; i < self->seen_count; i++)
        if (self->seen[i].is_described == is_described && PyBytes_Size(self->seen[i].key) == PyBytes_Size(key) &&
            memcmp(PyBytes_AsString(self->seen[i].key), PyBytes_AsString(key), (size_t)PyBytes_Size(key)) == 0) {
            self->seen_next = i;
            break;
        }
    Seen *seen = &self->seen[self->seen_next];
    if (self->seen_next < self->seen_count)
        seen_drop(seen);
    else
        self->seen_count++;
    self->seen_next = self->seen_count < MAX_SEEN ? self->seen_count : (self->seen_next + 1) % MAX_SEEN;
    Py_INCREF(key);
    Py_INCREF(shown);
    seen->key = key;
    seen->shown = shown;
    Py_INCREF(result);
    seen->result = result;
    seen->is_described = is_described;
    seen->rows = NULL;
    if (rows != Py_None) {
        Py_INCREF(rows);
        seen->rows = (Rows *)rows;
    }
    Py_RETURN_TRUE;
}

static Seen *route_seen(Route *self, int is_described, const unsigned char *key, size_t length)
{
    for (int i = 0; i < self->seen_count; i++) {
        Seen *seen = &self->seen[i];
        if (seen->is_described == is_described && (size_t)PyBytes_Size(seen->key) == length &&
            memcmp(PyBytes_AsString(seen->key), key, length) == 0)
            return seen;
    }
    return NULL;
}

static PyObject *route_statement(PyObject *object, void *unused)
{
    (void)unused;
    PyObject *statement = ((Route *)object)->statement;
    Py_XINCREF(statement);
    return statement;
}

static PyMethodDef route_methods[] = {
    {"see", route_see, METH_VARARGS, see_doc},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef route_members[] = {
    {"statement", route_statement, NULL, "what was prepared", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot route_slots[] = {
    {Py_tp_new, route_new},
    {Py_tp_dealloc, route_dealloc},
    {Py_tp_traverse, route_traverse},
    {Py_tp_clear, route_clear},
    {Py_tp_methods, route_methods},
    {Py_tp_getset, route_members},
    {Py_tp_doc, "Route(statement, epoch, is_keyed, binder, parse): what is known of one statement."},
    {0, NULL},
};
static PyType_Spec route_spec = {"pgcrypt_proxy.fast.native.Route", sizeof(Route), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, route_slots};

#endif
