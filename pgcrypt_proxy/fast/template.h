/* Texts that differ in literals only: which of them one plan holds for, and how they are rewritten.
 *
 * `sql/template.py` says which literals may be others, and that it was wrong about it if it was; `session/templates.py`
 * tells it here. Literals that are sealed go through a Binder, whose parameters they are.
 */
#ifndef PGCRYPT_TEMPLATE_H
#define PGCRYPT_TEMPLATE_H

#define MAX_LITERALS 64
#define MAX_MADE 32

enum { COPIED, WRITTEN, MADE };

/* A place in a text: so many bytes behind the end of that literal, counted from 1; 0 is the text's beginning. */
typedef struct {
    Py_ssize_t literal, offset;
} Place;

typedef struct {
    int kind;
    Place from, to;    /* COPIED: what the client's text has there */
    PyObject *written; /* WRITTEN */
    int parameter;     /* MADE: of the binder, which knows the literal's number */
    int is_negative;   /* there is a minus before the literal */
} Part;

typedef struct {
    PyObject_HEAD
    PyObject *template; /* Python's */
    Route *route;
    Binder *binder; /* NULL: the text passes as it came */
    Py_ssize_t count, part_count, max_bytes;
    PyObject **same; /* what each literal must be, NULL for any */
    Part *parts;
} Template;

static PyTypeObject *template_type;
static PyObject *is_wrong; /* the name of Python's attribute */

static int template_traverse(PyObject *object, visitproc visit, void *arg)
{
    Template *self = (Template *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->template);
    Py_VISIT((PyObject *)self->route);
    return 0;
}

static int template_clear(PyObject *object)
{
    Template *self = (Template *)object;
    Py_CLEAR(self->template);
    Py_CLEAR(self->route);
    Py_CLEAR(self->binder);
    for (Py_ssize_t i = 0; self->same != NULL && i < self->count; i++)
        Py_CLEAR(self->same[i]);
    for (Py_ssize_t i = 0; self->parts != NULL && i < self->part_count; i++)
        Py_CLEAR(self->parts[i].written);
    return 0;
}

static void template_dealloc(PyObject *object)
{
    Template *self = (Template *)object;
    PyObject_GC_UnTrack(object);
    template_clear(object);
    PyMem_Free(self->same);
    PyMem_Free(self->parts);
    self->same = NULL;
    self->parts = NULL;
    gc_dealloc(object, template_clear);
}

static int part_init(Part *self, PyObject *item, const Template *of)
{
    if (PyBytes_CheckExact(item)) {
        self->kind = WRITTEN;
        self->written = Py_NewRef(item);
        return 1;
    }
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a part is bytes or a tuple");
        return 0;
    }
    if (PyTuple_Size(item) == 4) {
        self->kind = COPIED;
        if (!PyArg_ParseTuple(item, "nnnn", &self->from.literal, &self->from.offset, &self->to.literal,
                              &self->to.offset))
            return 0;
        if (self->from.literal >= 0 && self->from.literal <= of->count && self->from.offset >= 0 &&
            self->to.literal >= 0 && self->to.literal <= of->count && self->to.offset >= 0)
            return 1;
    } else {
        self->kind = MADE;
        if (!PyArg_ParseTuple(item, "ip", &self->parameter, &self->is_negative))
            return 0;
        if (self->parameter >= 0 && self->parameter < of->binder->count &&
            of->binder->parameters[self->parameter].use != PASS)
            return 1;
    }
    PyErr_SetString(PyExc_ValueError, "a part is not of the text");
    return 0;
}

static int template_init(Template *self, PyObject *same, PyObject *parts)
{
    Py_ssize_t made = 0, count = PyTuple_Size(same), part_count = PyTuple_Size(parts);
    if (count > MAX_LITERALS || self->max_bytes < 0 || (self->binder != NULL && self->binder->client_count != (size_t)count)) {
        PyErr_SetString(PyExc_ValueError, "too many literals, or not the binder's");
        return 0;
    }
    self->same = PyMem_Calloc((size_t)count + 1, sizeof *self->same);
    self->parts = PyMem_Calloc((size_t)part_count + 1, sizeof *self->parts);
    if (self->same == NULL || self->parts == NULL) {
        PyErr_NoMemory();
        return 0;
    }
    self->count = count;
    self->part_count = self->binder == NULL ? 0 : part_count;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GetItem(same, i);
        if (item != Py_None && !PyBytes_CheckExact(item)) {
            PyErr_SetString(PyExc_TypeError, "a literal is bytes or None");
            return 0;
        }
        self->same[i] = item == Py_None ? NULL : Py_NewRef(item);
    }
    for (Py_ssize_t i = 0; i < self->part_count; i++) {
        if (!part_init(&self->parts[i], PyTuple_GetItem(parts, i), self))
            return 0;
        made += self->parts[i].kind == MADE;
    }
    if (made > MAX_MADE) {
        PyErr_SetString(PyExc_ValueError, "too many values");
        return 0;
    }
    return 1;
}

static PyObject *template_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *template, *route, *same, *binder, *parts;
    Py_ssize_t max_bytes;
    (void)keywords;
    if (!PyArg_ParseTuple(args, "OO!O!nOO!:Template", &template, route_type, &route, &PyTuple_Type, &same, &max_bytes,
                          &binder, &PyTuple_Type, &parts))
        return NULL;
    if (binder != Py_None && !Py_IS_TYPE(binder, binder_type)) {
        PyErr_SetString(PyExc_TypeError, "a template has a Binder or None");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Template *self = (Template *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->template = Py_NewRef(template);
    self->route = (Route *)Py_NewRef(route);
    self->binder = binder == Py_None ? NULL : (Binder *)Py_NewRef(binder);
    self->max_bytes = max_bytes;
    if (!template_init(self, same, parts)) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

/* Whether the plan holds for a text of the template's key. Never with an exception. */
static int template_fits(Template *self, Text text, const Fingerprint *found)
{
    if (self->route == NULL || (size_t)self->count != found->count || text.size > (size_t)self->max_bytes)
        return 0;
    for (size_t i = 0; i < found->count; i++) {
        const Literal *literal = &found->literals[i];
        PyObject *same = self->same[i];
        size_t length = literal->end - literal->start;
        if (same != NULL && ((size_t)PyBytes_Size(same) != length ||
                             memcmp(PyBytes_AsString(same), text.in + literal->start, length) != 0))
            return 0;
    }
    PyObject *answer = PyObject_GetAttr(self->template, is_wrong);
    if (answer == NULL)
        PyErr_Clear();
    Py_XDECREF(answer);
    return answer == Py_False;
}

/* The literal's value as the parser reads it, in `out`, which has room for the literal; its length. */
static size_t literal_value(Text text, const Literal *literal, int is_negative, unsigned char *out)
{
    size_t at = literal->start, end = literal->end, made = 0;
    if (literal->kind == 's') {
        for (at++, end--; at < end; at++) {
            out[made++] = text.in[at];
            at += text.in[at] == '\''; /* of two */
        }
        return made;
    }
    while (literal->kind == 'i' && end - at > 1 && text.in[at] == '0')
        at++;
    if (is_negative && !(end - at == 1 && text.in[at] == '0'))
        out[made++] = '-';
    memcpy(out + made, text.in + at, end - at);
    return made + end - at;
}

/* A literal sealed, or made a term, as SQL behind what `out` has; whether it could. */
static int add_literal(Template *self, const Part *part, Text text, const Literal *literal, double now,
                       unsigned char *value, unsigned char *scratch, Buffer *out)
{
    static const char before[] = "E'\\\\x", after[] = "'::pg_catalog.bytea";
    const size_t lead = sizeof before - 1, tail = sizeof after - 1;
    Parameter *parameter = &self->binder->parameters[part->parameter];
    Reading read = {0};
    size_t length = literal_value(text, literal, part->is_negative, value);
    if (!read_plainly(&parameter->sealing, value, length, 0, scratch, &read))
        return 0;
    size_t size = made_length(parameter, &read);
    unsigned char *place = buffer_reserve(out, lead + 2 * size + tail);
    if (place == NULL || !write_made(self->binder, parameter, &read, now, place + lead + size))
        return 0;
    memcpy(place, before, lead);
    hex_encode(place + lead + size, size, place + lead);
    memcpy(place + lead + 2 * size, after, tail);
    out->used += lead + 2 * size + tail;
    return 1;
}

static size_t place_in(const Fingerprint *found, Place place)
{
    return (place.literal == 0 ? 0 : found->literals[place.literal - 1].end) + (size_t)place.offset;
}

/* The Query that the server gets, and in `lengths` what each sealed literal became; NULL, perhaps with an exception:
 * not made. The text fits. */
static PyObject *template_query(Template *self, Text text, const Fingerprint *found, uint32_t *lengths)
{
    static const unsigned char head[5] = {'Q', 0, 0, 0, 0}, end_of_text = 0;
    unsigned char value[MAX_BIND + 1], scratch[MAX_BIND + 1];
    if (text.size > MAX_BIND)
        return NULL;
    double started = monotonic();
    Buffer out = {0};
    PyObject *query = NULL;
    int made = 0, is_made = buffer_add(&out, head, sizeof head);
    for (Py_ssize_t i = 0; is_made && i < self->part_count; i++) {
        const Part *part = &self->parts[i];
        size_t used = out.used;
        if (part->kind == WRITTEN) {
            is_made = buffer_add(&out, (const unsigned char *)PyBytes_AsString(part->written),
                                 (size_t)PyBytes_Size(part->written));
        } else if (part->kind == COPIED) {
            size_t from = place_in(found, part->from), to = place_in(found, part->to);
            is_made = from <= to && to <= text.size && buffer_add(&out, text.in + from, to - from);
        } else {
            int literal = self->binder->parameters[part->parameter].index;
            is_made = add_literal(self, part, text, &found->literals[literal], started, value, scratch, &out);
            lengths[made++] = (uint32_t)(out.used - used);
        }
    }
    if (is_made && buffer_add(&out, &end_of_text, 1) && out.used <= INT32_MAX) {
        store32(out.bytes + 1, (uint32_t)(out.used - 1));
        query = PyBytes_FromStringAndSize((const char *)out.bytes, (Py_ssize_t)out.used);
        for (Py_ssize_t i = 0; query != NULL && i < self->part_count; i++)
            if (self->parts[i].kind == MADE)
                self->binder->parameters[self->parts[i].parameter].made++;
    }
    crypto.cleanse(value, text.size + 1); /* no literal is longer than the text */
    crypto.cleanse(scratch, text.size + 1);
    free(out.bytes);
    self->binder->seconds += monotonic() - started;
    return query;
}

static PyType_Slot template_slots[] = {
    {Py_tp_new, template_new},
    {Py_tp_dealloc, template_dealloc},
    {Py_tp_traverse, template_traverse},
    {Py_tp_clear, template_clear},
    {Py_tp_doc, "Template(template, route, same, max_bytes, binder, parts): texts that one plan holds for, by their literals."},
    {0, NULL},
};
static PyType_Spec template_spec = {"pgcrypt_proxy.fast.native.Template", sizeof(Template), 0,
                                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, template_slots};

#endif
