/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/net/rest.h"

#include <string.h>

static const char *const method_names[] = {
    [REST_GET] = "GET", [REST_POST] = "POST", [REST_PUT] = "PUT", [REST_PATCH] = "PATCH", [REST_DELETE] = "DELETE",
};

const char *rest_method_name(enum rest_method method)
{
    return method >= REST_GET && method <= REST_DELETE ? method_names[method] : "?";
}

static bool bytes_are(struct weir_bytes b, const char *text)
{
    return b.length == strlen(text) && (b.length == 0 || memcmp(b.data, text, b.length) == 0);
}

static enum rest_status refuse(struct weir_diag *diag, enum rest_status status, weir_err err, const char *sentence)
{
    (void)weir_fail(diag, err, "%s", sentence);
    return status;
}

/* ---- headers ---- */

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

/* A header name in place: lower case, letters, digits, '-' and '_' only. */
static bool name_to_lower(char *name)
{
    if (*name == '\0') return false;
    for (char *p = name; *p; p++) {
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + ('a' - 'A'));
        bool good = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';
        if (!good) return false;
    }
    return true;
}

/* The value without blanks around it; NULL when it holds control characters. */
static char *trim_value(char *value)
{
    while (*value == ' ' || *value == '\t') value++;
    size_t len = strlen(value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t')) value[--len] = '\0';
    for (size_t i = 0; i < len; i++)
        if (is_control((unsigned char)value[i])) return NULL;
    return value;
}

static bool parse_header_line(struct rest_pair *out, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon) return false;
    *colon = '\0';
    out->name = line;
    out->value = trim_value(colon + 1);
    return name_to_lower(line) && out->value != NULL;
}

/* Cuts the line at *at, with its line feed and an optional carriage return, and moves *at behind it. */
static char *next_line(char **at)
{
    char *line = *at;
    char *feed = strchr(line, '\n');
    *at = feed ? feed + 1 : line + strlen(line);
    if (feed) {
        *feed = '\0';
        if (feed > line && feed[-1] == '\r') feed[-1] = '\0';
    }
    return line;
}

static enum rest_status parse_headers(struct rest_headers *out, struct weir_bytes part, struct weir_diag *diag)
{
    out->n = 0;
    if (part.length > REST_HEADERS_BYTES_MAX) return refuse(diag, REST_HEADERS_TOO_LARGE, WEIR_E_LIMIT, "the headers are too large");
    if (part.length > 0) memcpy(out->text, part.data, part.length);
    out->text[part.length] = '\0';
    if (strlen(out->text) != part.length) return refuse(diag, REST_BAD_REQUEST, WEIR_E_CORRUPT, "the headers hold a NUL byte");
    for (char *at = out->text; *at;) {
        char *line = next_line(&at);
        if (*line == '\0') continue;
        if (out->n == REST_HEADERS_MAX) return refuse(diag, REST_HEADERS_TOO_LARGE, WEIR_E_LIMIT, "there are too many headers");
        if (!parse_header_line(&out->item[out->n], line))
            return refuse(diag, REST_BAD_REQUEST, WEIR_E_CORRUPT, "a header is not a line 'name: value'");
        out->n++;
    }
    return REST_OK;
}

const char *rest_header(const struct rest_headers *headers, const char *name)
{
    for (uint32_t i = 0; i < headers->n; i++)
        if (strcmp(headers->item[i].name, name) == 0) return headers->item[i].value;
    return NULL;
}

/* ---- path and query ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Percent-decodes in place. false: a broken escape or a control character. */
static bool decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (*from == '%') {
            int high = hex_value(from[1]);
            int low = high < 0 ? -1 : hex_value(from[2]);
            if (low < 0) return false;
            *to = (char)(high << 4 | low);
            from += 3;
        } else {
            *to = *from++;
        }
        if (is_control((unsigned char)*to)) return false;
    }
    *to = '\0';
    return true;
}

/* Cuts at the next `separator` and returns what follows it; NULL when there is none. */
static char *cut(char *text, char separator)
{
    char *at = strchr(text, separator);
    if (!at) return NULL;
    *at = '\0';
    return at + 1;
}

static enum rest_status parse_path(struct rest_request *r, char *path, struct weir_diag *diag)
{
    for (char *next = path; next;) {
        char *segment = next;
        next = cut(segment, '/');
        if (*segment == '\0' && !next) return REST_OK; /* "/" and a slash at the end */
        if (*segment == '\0') return refuse(diag, REST_BAD_REQUEST, WEIR_E_CORRUPT, "the path has an empty segment");
        if (r->n_segments == REST_SEGMENTS_MAX) return refuse(diag, REST_TARGET_TOO_LONG, WEIR_E_LIMIT, "the path has too many segments");
        if (!decode(segment)) return refuse(diag, REST_BAD_REQUEST, WEIR_E_CORRUPT, "the path is not well percent-encoded");
        r->segment[r->n_segments++] = segment;
    }
    return REST_OK;
}

static enum rest_status parse_query(struct rest_request *r, char *query, struct weir_diag *diag)
{
    for (char *next = query; next;) {
        char *pair = next;
        next = cut(pair, '&');
        if (*pair == '\0') continue;
        if (r->n_query == REST_QUERY_MAX) return refuse(diag, REST_TARGET_TOO_LONG, WEIR_E_LIMIT, "the query has too many pairs");
        char *value = cut(pair, '=');
        if (!decode(pair) || (value && !decode(value)))
            return refuse(diag, REST_BAD_REQUEST, WEIR_E_CORRUPT, "the query is not well percent-encoded");
        r->query[r->n_query++] = (struct rest_pair){pair, value ? value : ""};
    }
    return REST_OK;
}

static enum rest_status parse_target(struct rest_request *r, struct weir_bytes part, struct weir_diag *diag)
{
    if (part.length > REST_TARGET_MAX) return refuse(diag, REST_TARGET_TOO_LONG, WEIR_E_LIMIT, "the path is too long");
    if (part.length == 0 || *(const char *)part.data != '/')
        return refuse(diag, REST_BAD_REQUEST, WEIR_E_CORRUPT, "the path does not start with '/'");
    memcpy(r->target, part.data, part.length);
    r->target[part.length] = '\0';
    if (strlen(r->target) != part.length) return refuse(diag, REST_BAD_REQUEST, WEIR_E_CORRUPT, "the path holds a NUL byte");
    char *query = cut(r->target, '?');
    enum rest_status status = parse_path(r, r->target + 1, diag);
    return status == REST_OK && query ? parse_query(r, query, diag) : status;
}

const char *rest_query(const struct rest_request *request, const char *name)
{
    for (uint32_t i = 0; i < request->n_query; i++)
        if (strcmp(request->query[i].name, name) == 0) return request->query[i].value;
    return NULL;
}

bool rest_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0') return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (value > max) return false;
    *out = value;
    return true;
}

/* ---- whole messages ---- */

uint32_t rest_delimiters(const struct weir_bytes *parts, uint32_t n)
{
    return n > 0 && parts[0].length == 0 ? 1 : 0;
}

static bool parse_method(struct weir_bytes part, enum rest_method *out)
{
    for (enum rest_method m = REST_GET; m <= REST_DELETE; m++) {
        if (!bytes_are(part, method_names[m])) continue;
        *out = m;
        return true;
    }
    return false;
}

enum rest_status rest_request_parse(struct rest_request *out, const struct weir_bytes *parts, uint32_t n, struct weir_diag *diag)
{
    uint32_t skip = rest_delimiters(parts, n);
    if (skip) parts++, n--;
    out->n_segments = out->n_query = out->headers.n = 0;
    /* The version decides what all else means, the number of parts too: it comes first. */
    if (n == 0) return refuse(diag, REST_BAD_REQUEST, WEIR_E_PROTOCOL, "the request is empty");
    if (!bytes_are(parts[0], REST_VERSION)) {
        bool other = parts[0].length > 5 && memcmp(parts[0].data, "WEIR/", 5) == 0;
        return other ? refuse(diag, REST_VERSION_UNKNOWN, WEIR_E_PROTOCOL, "this server speaks " REST_VERSION " only")
                     : refuse(diag, REST_BAD_REQUEST, WEIR_E_PROTOCOL, "the first part is not " REST_VERSION);
    }
    if (n != REST_REQUEST_PARTS)
        return refuse(diag, REST_BAD_REQUEST, WEIR_E_PROTOCOL, "a request has five parts: " REST_VERSION ", method, path, headers, body");
    if (!parse_method(parts[1], &out->method))
        return refuse(diag, REST_METHOD_NOT_ALLOWED, WEIR_E_PROTOCOL, "the method is none of GET, POST, PUT, PATCH, DELETE");
    /* Headers first: a request with a bad path still gets its request-id back. */
    enum rest_status status = parse_headers(&out->headers, parts[3], diag);
    if (status == REST_OK) status = parse_target(out, parts[2], diag);
    out->body = parts[4];
    return status;
}

static bool parse_status(struct weir_bytes part, uint32_t *out)
{
    const char *text = part.data;
    if (part.length != 3 || text[0] < '1' || text[0] > '5') return false;
    *out = 0;
    for (int i = 0; i < 3; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *out = *out * 10 + (uint32_t)(text[i] - '0');
    }
    return true;
}

weir_err rest_reply_parse(struct rest_reply *out, const struct weir_bytes *parts, uint32_t n, struct weir_diag *diag)
{
    uint32_t skip = rest_delimiters(parts, n);
    if (skip) parts++, n--;
    if (n != REST_REPLY_PARTS || !parse_status(parts[0], &out->status))
        return weir_fail(diag, WEIR_E_PROTOCOL, "the answer is not one of the admin protocol " REST_VERSION);
    if (parse_headers(&out->headers, parts[1], diag) != REST_OK) return weir_wrap(diag, WEIR_E_PROTOCOL, "read the answer");
    out->body = parts[2];
    return WEIR_OK;
}

static struct weir_bytes text_bytes(const char *text)
{
    return (struct weir_bytes){text, (uint32_t)strlen(text)};
}

void rest_request_build(struct weir_bytes out[static REST_REQUEST_PARTS], enum rest_method method, const char *target, const char *headers,
                        struct weir_bytes body)
{
    out[0] = text_bytes(REST_VERSION);
    out[1] = text_bytes(rest_method_name(method));
    out[2] = text_bytes(target);
    out[3] = text_bytes(headers);
    out[4] = body;
}

void rest_reply_build(struct weir_bytes out[static REST_REPLY_PARTS], char status_text[static 4], enum rest_status status,
                      const char *headers, struct weir_bytes body)
{
    status_text[0] = (char)('0' + status / 100 % 10);
    status_text[1] = (char)('0' + status / 10 % 10);
    status_text[2] = (char)('0' + status % 10);
    status_text[3] = '\0';
    out[0] = text_bytes(status_text);
    out[1] = text_bytes(headers);
    out[2] = body;
}

void rest_percent_encode(struct buffer *out, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~", *p);
        char escaped[3] = {'%', hex[*p >> 4], hex[*p & 15]};
        if (plain)
            buffer_add(out, p, 1);
        else
            buffer_add(out, escaped, 3);
    }
}
