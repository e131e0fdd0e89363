/* The few functions of OpenSSL that are used, found at run time: no headers of OpenSSL are needed to build.
 *
 * libcrypto.so.3 is what Python's own hashlib uses, so it is loaded already. The prototypes are OpenSSL 3's
 * (EVP_EncryptInit(3)); that they fit is shown by a known answer before anything is used.
 */
#ifndef PGCRYPT_LIBCRYPTO_H
#define PGCRYPT_LIBCRYPTO_H

#include <dlfcn.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KEY_LENGTH 32
#define NONCE_LENGTH 12
#define TAG_LENGTH 16
#define DIGEST_LENGTH 32
#define DIGEST_BLOCK 64

typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct engine_st ENGINE;
/* SHA256_CTX has 112 bytes; may be copied, as its own header says by defining it. */
typedef struct {
    uint64_t opaque[24];
} SHA256_CTX;

enum { CTRL_AEAD_SET_TAG = 0x11 };

typedef struct {
    const char *key;
    unsigned int data_type;
    void *data;
    size_t data_size, return_size;
} OSSL_PARAM;

enum { PARAM_OCTET_STRING = 5 };

static struct {
    EVP_CIPHER_CTX *(*ctx_new)(void);
    void (*ctx_free)(EVP_CIPHER_CTX *);
    int (*ctx_ctrl)(EVP_CIPHER_CTX *, int, int, void *);
    int (*ctx_get_params)(EVP_CIPHER_CTX *, OSSL_PARAM *);
    const EVP_CIPHER *(*aes_256_gcm)(void);
    int (*encrypt_init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, const unsigned char *);
    int (*encrypt_update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
    int (*encrypt_final)(EVP_CIPHER_CTX *, unsigned char *, int *);
    int (*decrypt_init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, const unsigned char *);
    int (*decrypt_update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
    int (*decrypt_final)(EVP_CIPHER_CTX *, unsigned char *, int *);
    void (*error_clear)(void);
    int (*sha256_init)(SHA256_CTX *);
    int (*sha256_update)(SHA256_CTX *, const void *, size_t);
    int (*sha256_final)(unsigned char *, SHA256_CTX *);
    void (*cleanse)(void *, size_t);
} crypto;

/* A context with its key schedule, for one direction; NULL when there is none to be had. */
static EVP_CIPHER_CTX *aead_new(const unsigned char key[KEY_LENGTH], int is_sealing)
{
    EVP_CIPHER_CTX *ctx = crypto.ctx_new();
    if (ctx == NULL)
        return NULL;
    if ((is_sealing ? crypto.encrypt_init : crypto.decrypt_init)(ctx, crypto.aes_256_gcm(), NULL, key, NULL) != 1) {
        crypto.ctx_free(ctx);
        return NULL;
    }
    return ctx;
}

/* Whether the tag is right. `out` takes `length` bytes, which mean nothing when it is not. */
static int aead_open(EVP_CIPHER_CTX *ctx, const unsigned char *nonce, const unsigned char *aad, size_t aad_length,
                     const unsigned char *sealed, size_t length, unsigned char *out)
{
    unsigned char end[TAG_LENGTH];
    int made = 0;
    if (length > INT_MAX || aad_length > INT_MAX)
        return 0;
    return crypto.decrypt_init(ctx, NULL, NULL, NULL, nonce) == 1 &&
           crypto.decrypt_update(ctx, NULL, &made, aad, (int)aad_length) == 1 &&
           (length == 0 ||
            (crypto.decrypt_update(ctx, out, &made, sealed, (int)length) == 1 && (size_t)made == length)) &&
           crypto.ctx_ctrl(ctx, CTRL_AEAD_SET_TAG, TAG_LENGTH, (void *)(sealed + length)) == 1 &&
           crypto.decrypt_final(ctx, end, &made) == 1 && made == 0;
}

/* Writes ciphertext and tag, `length` + 16 bytes; whether that succeeded. `head` and `bound` are authenticated. */
static int aead_seal(EVP_CIPHER_CTX *ctx, const unsigned char *nonce, const unsigned char *head, size_t head_length,
                     const unsigned char *bound, size_t bound_length, const unsigned char *plaintext, size_t length,
                     unsigned char *out)
{
    unsigned char end[TAG_LENGTH];
    int made = 0;
    OSSL_PARAM tag[2] = {{"tag", PARAM_OCTET_STRING, out + length, TAG_LENGTH, SIZE_MAX}, {0}};
    if (length > INT_MAX || head_length > INT_MAX || bound_length > INT_MAX)
        return 0;
    return crypto.encrypt_init(ctx, NULL, NULL, NULL, nonce) == 1 &&
           crypto.encrypt_update(ctx, NULL, &made, head, (int)head_length) == 1 &&
           crypto.encrypt_update(ctx, NULL, &made, bound, (int)bound_length) == 1 &&
           (length == 0 ||
            (crypto.encrypt_update(ctx, out, &made, plaintext, (int)length) == 1 && (size_t)made == length)) &&
           crypto.encrypt_final(ctx, end, &made) == 1 && made == 0 &&
           crypto.ctx_get_params(ctx, tag) == 1; /* what the ctrl of that name does, at twice the time */
}

/* Test case 14 of the GCM specification, sealed, opened, and refused with one bit changed. */
static int aead_is_right(void)
{
    static const unsigned char zero[KEY_LENGTH] = {0};
    static const unsigned char expected[32] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5,
                                               0xd3, 0xba, 0xf3, 0x9d, 0x18, 0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99,
                                               0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
    unsigned char sealed[32], opened[16];
    EVP_CIPHER_CTX *enc = aead_new(zero, 1), *dec = aead_new(zero, 0);
    int is_right = enc != NULL && dec != NULL && aead_seal(enc, zero, zero, 0, zero, 0, zero, 16, sealed) &&
                   memcmp(sealed, expected, sizeof expected) == 0 &&
                   aead_open(dec, zero, zero, 0, sealed, 16, opened) && memcmp(opened, zero, 16) == 0;
    if (is_right) {
        sealed[31] ^= 1;
        is_right = !aead_open(dec, zero, zero, 0, sealed, 16, opened);
        crypto.error_clear();
    }
    if (enc != NULL)
        crypto.ctx_free(enc);
    if (dec != NULL)
        crypto.ctx_free(dec);
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
        {"EVP_CIPHER_CTX_new", &crypto.ctx_new},
        {"EVP_CIPHER_CTX_free", &crypto.ctx_free},
        {"EVP_CIPHER_CTX_ctrl", &crypto.ctx_ctrl},
        {"EVP_CIPHER_CTX_get_params", &crypto.ctx_get_params},
        {"EVP_aes_256_gcm", &crypto.aes_256_gcm},
        {"EVP_EncryptInit_ex", &crypto.encrypt_init},
        {"EVP_EncryptUpdate", &crypto.encrypt_update},
        {"EVP_EncryptFinal_ex", &crypto.encrypt_final},
        {"EVP_DecryptInit_ex", &crypto.decrypt_init},
        {"EVP_DecryptUpdate", &crypto.decrypt_update},
        {"EVP_DecryptFinal_ex", &crypto.decrypt_final},
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
    return aead_is_right() && hmac_is_right() ? NULL : "libcrypto.so.3 gives wrong answers";
}

#endif
