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

typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct engine_st ENGINE;

enum { CTRL_AEAD_GET_TAG = 0x10, CTRL_AEAD_SET_TAG = 0x11 };

static struct {
    EVP_CIPHER_CTX *(*ctx_new)(void);
    void (*ctx_free)(EVP_CIPHER_CTX *);
    int (*ctx_ctrl)(EVP_CIPHER_CTX *, int, int, void *);
    const EVP_CIPHER *(*aes_256_gcm)(void);
    int (*encrypt_init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, const unsigned char *);
    int (*encrypt_update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
    int (*encrypt_final)(EVP_CIPHER_CTX *, unsigned char *, int *);
    int (*decrypt_init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, const unsigned char *);
    int (*decrypt_update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
    int (*decrypt_final)(EVP_CIPHER_CTX *, unsigned char *, int *);
    void (*error_clear)(void);
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
    if (length > INT_MAX || head_length > INT_MAX || bound_length > INT_MAX)
        return 0;
    return crypto.encrypt_init(ctx, NULL, NULL, NULL, nonce) == 1 &&
           crypto.encrypt_update(ctx, NULL, &made, head, (int)head_length) == 1 &&
           crypto.encrypt_update(ctx, NULL, &made, bound, (int)bound_length) == 1 &&
           (length == 0 ||
            (crypto.encrypt_update(ctx, out, &made, plaintext, (int)length) == 1 && (size_t)made == length)) &&
           crypto.encrypt_final(ctx, end, &made) == 1 && made == 0 &&
           crypto.ctx_ctrl(ctx, CTRL_AEAD_GET_TAG, TAG_LENGTH, out + length) == 1;
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
        {"EVP_aes_256_gcm", &crypto.aes_256_gcm},
        {"EVP_EncryptInit_ex", &crypto.encrypt_init},
        {"EVP_EncryptUpdate", &crypto.encrypt_update},
        {"EVP_EncryptFinal_ex", &crypto.encrypt_final},
        {"EVP_DecryptInit_ex", &crypto.decrypt_init},
        {"EVP_DecryptUpdate", &crypto.decrypt_update},
        {"EVP_DecryptFinal_ex", &crypto.decrypt_final},
        {"ERR_clear_error", &crypto.error_clear},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = dlsym(library, wanted[i].name);
        if (found == NULL)
            return "libcrypto.so.3 lacks a function";
        memcpy(wanted[i].place, &found, sizeof found);
    }
    return aead_is_right() ? NULL : "libcrypto.so.3 gives wrong answers";
}

#endif
