/* The few functions of OpenSSL that are used, found at run time: no headers of OpenSSL are needed to build.
 *
 * libcrypto.so.3 is what Python's own hashlib uses, so it is loaded already. AES-256-GCM is the provider's that
 * libcrypto chooses, called by the table of functions that it gives EVP (provider-cipher(7)). EVP's own calls look up
 * the nonce's length and the tag's place by their names for each value, which takes OpenSSL 3.0 as long as the cipher.
 * That all of it fits is shown by known answers before anything is used.
 */
#ifndef PGCRYPT_LIBCRYPTO_H
#define PGCRYPT_LIBCRYPTO_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define KEY_LENGTH 32
#define NONCE_LENGTH 12
#define TAG_LENGTH 16
#define DIGEST_LENGTH 32
#define DIGEST_BLOCK 64

typedef struct evp_cipher_st EVP_CIPHER;
typedef struct ossl_provider_st OSSL_PROVIDER;
typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;
/* SHA256_CTX has 112 bytes; may be copied, as its own header says by defining it. */
typedef struct {
    uint64_t opaque[24];
} SHA256_CTX;

typedef struct {
    const char *key;
    unsigned int data_type;
    void *data;
    size_t data_size, return_size;
} OSSL_PARAM;

enum { PARAM_OCTET_STRING = 5 };

/* What a provider offers: openssl/core.h. */
typedef struct {
    int function_id;
    void (*function)(void);
} OSSL_DISPATCH;

typedef struct {
    const char *algorithm_names, *property_definition;
    const OSSL_DISPATCH *implementation;
    const char *algorithm_description;
} OSSL_ALGORITHM;

enum { OPERATION_CIPHER = 2 };
enum { NEWCTX = 1, ENCRYPT_INIT, DECRYPT_INIT, UPDATE, FINAL, FREECTX = 7, GET_CTX_PARAMS = 10 };

static struct {
    EVP_CIPHER *(*cipher_fetch)(OSSL_LIB_CTX *, const char *, const char *);
    const OSSL_PROVIDER *(*get0_provider)(const EVP_CIPHER *);
    const OSSL_ALGORITHM *(*query_operation)(const OSSL_PROVIDER *, int, int *);
    void (*unquery_operation)(const OSSL_PROVIDER *, int, const OSSL_ALGORITHM *);
    void *(*get0_provider_ctx)(const OSSL_PROVIDER *);
    void (*error_clear)(void);
    int (*sha256_init)(SHA256_CTX *);
    int (*sha256_update)(SHA256_CTX *, const void *, size_t);
    int (*sha256_final)(unsigned char *, SHA256_CTX *);
    void (*cleanse)(void *, size_t);
} crypto;

/* AES-256-GCM as its provider does it; each function that returns int returns 1 for success. */
static struct {
    void *provider_ctx;
    void *(*newctx)(void *);
    int (*encrypt_init)(void *, const unsigned char *, size_t, const unsigned char *, size_t, const OSSL_PARAM *);
    int (*decrypt_init)(void *, const unsigned char *, size_t, const unsigned char *, size_t, const OSSL_PARAM *);
    int (*update)(void *, unsigned char *, size_t *, size_t, const unsigned char *, size_t);
    int (*final)(void *, unsigned char *, size_t *, size_t);
    void (*freectx)(void *);
    int (*get_ctx_params)(void *, OSSL_PARAM *);
} gcm;

/* Whether one of a provider's names for an algorithm, with colons between, is `wanted`. */
static int has_name(const char *names, const char *wanted)
{
    size_t length = strlen(wanted);
    for (const char *name = names; name != NULL; name = strchr(name, ':')) {
        name += *name == ':';
        if (strncasecmp(name, wanted, length) == 0 && (name[length] == 0 || name[length] == ':'))
            return 1;
    }
    return 0;
}

/* Finds the functions of the provider from which libcrypto takes AES-256-GCM; whether all are there, and one way only. */
static int gcm_load(void)
{
    /* Kept for good: it keeps the provider where it is. */
    EVP_CIPHER *cipher = crypto.cipher_fetch(NULL, "AES-256-GCM", NULL);
    if (cipher == NULL)
        return 0;
    const OSSL_PROVIDER *provider = crypto.get0_provider(cipher);
    int no_cache = 0, count = 0;
    const OSSL_ALGORITHM *offered = crypto.query_operation(provider, OPERATION_CIPHER, &no_cache);
    const OSSL_DISPATCH *found = NULL;
    for (const OSSL_ALGORITHM *one = offered; one != NULL && one->algorithm_names != NULL; one++)
        if (has_name(one->algorithm_names, "AES-256-GCM")) {
            found = one->implementation;
            count++;
        }
    gcm.provider_ctx = crypto.get0_provider_ctx(provider);
    for (; found != NULL && found->function_id != 0; found++) {
        void *place = found->function_id == NEWCTX           ? (void *)&gcm.newctx
                      : found->function_id == ENCRYPT_INIT   ? (void *)&gcm.encrypt_init
                      : found->function_id == DECRYPT_INIT   ? (void *)&gcm.decrypt_init
                      : found->function_id == UPDATE         ? (void *)&gcm.update
                      : found->function_id == FINAL          ? (void *)&gcm.final
                      : found->function_id == FREECTX        ? (void *)&gcm.freectx
                      : found->function_id == GET_CTX_PARAMS ? (void *)&gcm.get_ctx_params
                                                             : NULL;
        if (place != NULL)
            memcpy(place, &found->function, sizeof found->function);
    }
    if (offered != NULL)
        crypto.unquery_operation(provider, OPERATION_CIPHER, offered);
    return count == 1 && gcm.newctx != NULL && gcm.encrypt_init != NULL && gcm.decrypt_init != NULL &&
           gcm.update != NULL && gcm.final != NULL && gcm.freectx != NULL && gcm.get_ctx_params != NULL;
}

/* A context with its key schedule, for one direction; NULL when there is none to be had. */
static void *aead_new(const unsigned char key[KEY_LENGTH], int is_sealing)
{
    void *ctx = gcm.newctx(gcm.provider_ctx);
    if (ctx == NULL)
        return NULL;
    if ((is_sealing ? gcm.encrypt_init : gcm.decrypt_init)(ctx, key, KEY_LENGTH, NULL, 0, NULL) != 1) {
        gcm.freectx(ctx);
        return NULL;
    }
    return ctx;
}

/* What is authenticated only, or what is encrypted or decrypted as well if `out` is not NULL. */
static int aead_update(void *ctx, unsigned char *out, const unsigned char *in, size_t length)
{
    size_t made = 0;
    return length == 0 ||
           (gcm.update(ctx, out, &made, length, in, length) == 1 && (out == NULL || made == length));
}

static int aead_final(void *ctx)
{
    unsigned char end[TAG_LENGTH];
    size_t made = 0;
    return gcm.final(ctx, end, &made, sizeof end) == 1 && made == 0;
}

/* Whether the tag is right. `out` takes `length` bytes, which mean nothing when it is not. */
static int aead_open(void *ctx, const unsigned char *nonce, const unsigned char *aad, size_t aad_length,
                     const unsigned char *sealed, size_t length, unsigned char *out)
{
    OSSL_PARAM tag[2] = {{"tag", PARAM_OCTET_STRING, (void *)(sealed + length), TAG_LENGTH, SIZE_MAX}, {0}};
    return gcm.decrypt_init(ctx, NULL, 0, nonce, NONCE_LENGTH, tag) == 1 && aead_update(ctx, NULL, aad, aad_length) &&
           aead_update(ctx, out, sealed, length) && aead_final(ctx);
}

/* Writes ciphertext and tag, `length` + 16 bytes; whether that succeeded. `head` and `bound` are authenticated. */
static int aead_seal(void *ctx, const unsigned char *nonce, const unsigned char *head, size_t head_length,
                     const unsigned char *bound, size_t bound_length, const unsigned char *plaintext, size_t length,
                     unsigned char *out)
{
    OSSL_PARAM tag[2] = {{"tag", PARAM_OCTET_STRING, out + length, TAG_LENGTH, SIZE_MAX}, {0}};
    return gcm.encrypt_init(ctx, NULL, 0, nonce, NONCE_LENGTH, NULL) == 1 &&
           aead_update(ctx, NULL, head, head_length) && aead_update(ctx, NULL, bound, bound_length) &&
           aead_update(ctx, out, plaintext, length) && aead_final(ctx) && gcm.get_ctx_params(ctx, tag) == 1;
}

/* Test case 14 of the GCM specification, sealed, opened, and refused with one bit changed. */
static int aead_is_right(void)
{
    static const unsigned char zero[KEY_LENGTH] = {0};
    static const unsigned char expected[32] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5,
                                               0xd3, 0xba, 0xf3, 0x9d, 0x18, 0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99,
                                               0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
    unsigned char sealed[32], opened[16];
    void *enc = aead_new(zero, 1), *dec = aead_new(zero, 0);
    int is_right = enc != NULL && dec != NULL && aead_seal(enc, zero, zero, 0, zero, 0, zero, 16, sealed) &&
                   memcmp(sealed, expected, sizeof expected) == 0 &&
                   aead_open(dec, zero, zero, 0, sealed, 16, opened) && memcmp(opened, zero, 16) == 0;
    if (is_right) {
        sealed[31] ^= 1;
        is_right = !aead_open(dec, zero, zero, 0, sealed, 16, opened);
        crypto.error_clear();
    }
    if (enc != NULL)
        gcm.freectx(enc);
    if (dec != NULL)
        gcm.freectx(dec);
    return is_right;
}

/* HMAC-SHA-256 (RFC 2104) under one key: what is hashed before the message and before the inner digest. EVP's own
 * fetches, allocates and copies for each message, which takes several times as long as the digest. */
typedef struct {
    SHA256_CTX inner, outer;
} Hmac;

static int hmac_init(Hmac *mac, const unsigned char key[KEY_LENGTH])
{
    unsigned char block[DIGEST_BLOCK];
    int done = 1;
    for (int pass = 0; pass < 2; pass++) {
        SHA256_CTX *ctx = pass ? &mac->outer : &mac->inner;
        memset(block, pass ? 0x5c : 0x36, sizeof block);
        for (size_t i = 0; i < KEY_LENGTH; i++)
            block[i] ^= key[i];
        done = done && crypto.sha256_init(ctx) == 1 && crypto.sha256_update(ctx, block, sizeof block) == 1;
    }
    crypto.cleanse(block, sizeof block);
    return done;
}

/* The digest of a message in two parts; whether that succeeded. */
static int hmac_make(const Hmac *mac, const unsigned char *first, size_t first_length, const unsigned char *message,
                     size_t length, unsigned char out[DIGEST_LENGTH])
{
    SHA256_CTX ctx = mac->inner;
    if (crypto.sha256_update(&ctx, first, first_length) != 1 || crypto.sha256_update(&ctx, message, length) != 1 ||
        crypto.sha256_final(out, &ctx) != 1)
        return 0;
    ctx = mac->outer;
    return crypto.sha256_update(&ctx, out, DIGEST_LENGTH) == 1 && crypto.sha256_final(out, &ctx) == 1;
}

/* Test case 2 of RFC 4231, whose key is as good as one with zeros behind it. */
static int hmac_is_right(void)
{
    static const unsigned char key[KEY_LENGTH] = "Jefe", message[] = "what do ya want for nothing?";
    static const unsigned char expected[DIGEST_LENGTH] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
                                                          0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
                                                          0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    unsigned char made[DIGEST_LENGTH];
    Hmac mac;
    return hmac_init(&mac, key) && hmac_make(&mac, message, 1, message + 1, sizeof message - 2, made) &&
           memcmp(made, expected, sizeof expected) == 0;
}

/* NULL, or why libcrypto cannot be used. */
static const char *crypto_load(void)
{
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return "libcrypto.so.3 is not there";
    const struct {
        const char *name;
        void *place;
    } wanted[] = {
        {"EVP_CIPHER_fetch", &crypto.cipher_fetch},
        {"EVP_CIPHER_get0_provider", &crypto.get0_provider},
        {"OSSL_PROVIDER_query_operation", &crypto.query_operation},
        {"OSSL_PROVIDER_unquery_operation", &crypto.unquery_operation},
        {"OSSL_PROVIDER_get0_provider_ctx", &crypto.get0_provider_ctx},
        {"ERR_clear_error", &crypto.error_clear},
        {"SHA256_Init", &crypto.sha256_init},
        {"SHA256_Update", &crypto.sha256_update},
        {"SHA256_Final", &crypto.sha256_final},
        {"OPENSSL_cleanse", &crypto.cleanse},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = dlsym(library, wanted[i].name);
        if (found == NULL)
            return "libcrypto.so.3 lacks a function";
        memcpy(wanted[i].place, &found, sizeof found);
    }
    if (!gcm_load())
        return "libcrypto.so.3 has no provider of AES-256-GCM that can be used";
    return aead_is_right() && hmac_is_right() ? NULL : "libcrypto.so.3 gives wrong answers";
}

#endif
