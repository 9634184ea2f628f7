#!/usr/bin/env bash
# Makes the PEM files beside it, once, with OpenSSL 3. They are committed: tests need no openssl. Keys of tests only.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

key() { # name, genpkey arguments
  local name=$1; shift
  openssl genpkey "$@" -out "$name.key" 2>/dev/null
}
ec() { key "$1" -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -pkeyopt ec_param_enc:named_curve; }
rsa() { key "$1" -algorithm RSA -pkeyopt "rsa_keygen_bits:$2"; }

# issue name subject issuer extensions [arguments]: name.key signed by issuer.key into name.crt
issue() {
  local name=$1 subject=$2 issuer=$3 extensions=$4; shift 4
  openssl req -new -key "$name.key" -subj "$subject" -out "$work/csr"
  if [ "$issuer" = self ]; then
    openssl x509 -req -in "$work/csr" -signkey "$name.key" -days 36500 -extfile <(printf '%b' "$extensions") "$@" \
      -out "$name.crt" 2>/dev/null
  else
    openssl x509 -req -in "$work/csr" -CA "$issuer.crt" -CAkey "$issuer.key" -CAcreateserial -CAserial "$work/serial" \
      -days 36500 -extfile <(printf '%b' "$extensions") "$@" -out "$name.crt" 2>/dev/null
  fi
}
ca='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign'
leaf='subjectAltName=DNS:www.example.com,DNS:example.com,DNS:*.api.example.com,IP:192.0.2.1,IP:2001:db8::1'

# A public key infrastructure: root, intermediate, and leaves of every usable type below it.
ec root P-384;         issue root '/C=XX/O=Alos Tests/CN=Root' self "$ca" -sha384
ec intermediate P-256; issue intermediate '/O=Alos Tests/CN=Intermediate' root "$ca" -sha384
ec p256 P-256;         issue p256 /CN=p256 intermediate "$leaf"
ec p384 P-384;         issue p384 /CN=p384 intermediate "$leaf"
key ed25519 -algorithm ED25519; issue ed25519 /CN=ed25519 intermediate "$leaf"
rsa rsa 2048;          issue rsa /CN=rsa intermediate "$leaf"
key pss -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048; issue pss /CN=pss intermediate "$leaf"
key pss384 -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha384 \
  -pkeyopt rsa_pss_keygen_mgf1_md:sha384 -pkeyopt rsa_pss_keygen_saltlen:48; issue pss384 /CN=pss384 intermediate "$leaf"

# Other ways to be signed: by RSA, by RSA-PSS, by Ed25519, by P-521.
rsa rsa_ca 2048;       issue rsa_ca '/CN=RSA CA' self "$ca"
ec by_rsa P-256;       issue by_rsa /CN=by_rsa rsa_ca "$leaf" -sha512
ec by_pss P-256;       issue by_pss /CN=by_pss rsa_ca "$leaf" -sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48
cp pss.key pss_ca.key; issue pss_ca '/CN=PSS CA' self "$ca"
ec by_pss_pss P-256;   issue by_pss_pss /CN=by_pss_pss pss_ca "$leaf"
cp ed25519.key ed_ca.key; issue ed_ca '/CN=Ed CA' self "$ca"
ec by_ed P-256;        issue by_ed /CN=by_ed ed_ca "$leaf"
ec p521_ca P-521;      issue p521_ca '/CN=P-521 CA' self "$ca" -sha512
ec by_p521 P-256;      issue by_p521 /CN=by_p521 p521_ca "$leaf" -sha512

# The root's name and key, signed by another root; another intermediate of the same name with another key.
ec other_root P-256;   issue other_root '/CN=Other Root' self "$ca"
cp root.key root_cross.key; issue root_cross '/C=XX/O=Alos Tests/CN=Root' other_root "$ca"
ec impostor P-256;     issue impostor '/O=Alos Tests/CN=Intermediate' root "$ca"
ec same_name P-256;    issue same_name /CN=Root-and-leaf other_root "$leaf"
ec same_name_ca P-256; issue same_name_ca /CN=same self "$ca"
ec same_name_leaf P-256; issue same_name_leaf /CN=same same_name_ca "$leaf"
rm same_name.key same_name.crt

# Refused: types that TLS 1.3 cannot sign with here, weak signatures, small keys.
ec p521 P-521;         issue p521 /CN=p521 intermediate "$leaf"
ec k1 secp256k1;       issue k1 /CN=k1 intermediate "$leaf"
key ed448 -algorithm ED448; issue ed448 /CN=ed448 intermediate "$leaf"
rsa rsa1024 1024;      issue rsa1024 /CN=rsa1024 intermediate "$leaf"
cp p256.key sha1.key;  issue sha1 /CN=sha1 rsa_ca "$leaf" -sha1
cp p256.key md5.key;   issue md5 /CN=md5 rsa_ca "$leaf" -md5
cp p256.key ecdsa_sha1.key; issue ecdsa_sha1 /CN=ecdsa_sha1 intermediate "$leaf" -sha1
cp rsa.key sha1_self.key; issue sha1_self /CN=sha1_self self "$leaf" -sha1

# Without names; names that are none; expired; of long ago and far ahead.
cp p256.key nameless.key; issue nameless /CN=only.common.name intermediate 'keyUsage=digitalSignature'
cp p256.key odd_names.key; issue odd_names /CN=odd intermediate \
  'subjectAltName=DNS:GOOD.Example.COM,DNS:a b.example.com,DNS:*.*.example.com,DNS:f*.example.com,email:me@example.com,URI:https://example.com/,DNS:127.0.0.1'
openssl req -new -key p256.key -subj /CN=expired -out "$work/csr"
touch "$work/index"; echo 01 > "$work/serial2"
cat > "$work/ca.conf" <<CONF
[ca]
default_ca=x
[x]
database=$work/index
new_certs_dir=$work
serial=$work/serial2
default_md=sha256
policy=p
x509_extensions=e
[p]
commonName=supplied
[e]
subjectAltName=DNS:expired.example.com
CONF
openssl ca -batch -notext -config "$work/ca.conf" -selfsign -keyfile p256.key -in "$work/csr" -startdate 19500101000000Z \
  -enddate 19991231235959Z -out expired.crt 2>/dev/null
openssl req -new -key p256.key -subj /CN=forever -out "$work/csr"
openssl ca -batch -notext -config "$work/ca.conf" -selfsign -keyfile p256.key -in "$work/csr" -startdate 20240229120000Z \
  -enddate 99991231235959Z -out forever.crt 2>/dev/null

# A certificate whose point is compressed.
openssl pkey -in p256.key -ec_conv_form compressed -out compressed.key
issue compressed /CN=compressed intermediate "$leaf"

# One key in every form.
openssl ec -in p256.key -out p256_sec1_plain.key 2>/dev/null
{ openssl ecparam -name prime256v1; cat p256_sec1_plain.key; } > p256_sec1.key
openssl rsa -in rsa.key -traditional -out rsa_pkcs1.key 2>/dev/null
openssl pkcs8 -topk8 -in p256.key -v2 aes-256-cbc -iter 2048 -passout pass:secret -out p256_pbes2.key
openssl pkcs8 -topk8 -in rsa.key -v2 aes-128-cbc -v2prf hmacWithSHA512 -iter 2048 -passout pass:secret -out rsa_pbes2.key
openssl pkcs8 -topk8 -in p256.key -scrypt -scrypt_N 1024 -passout pass:secret -out p256_scrypt.key
openssl pkcs8 -topk8 -in p256.key -v1 PBE-SHA1-3DES -passout pass:secret -out p256_pbes1.key
openssl ec -in p256.key -aes128 -passout pass:secret -out p256_proc_type.key 2>/dev/null
openssl pkey -in p256.key -text -out p256_text.key 2>/dev/null
openssl x509 -in p256.crt -text -out p256_text.crt
openssl ec -in p256.key -param_enc explicit -out p256_explicit.key 2>/dev/null
rm -f root_cross.key ecdsa_sha1.key md5.key sha1.key sha1_self.key nameless.key odd_names.key pss_ca.key ed_ca.key \
  impostor.key same_name_ca.key other_root.key rsa_ca.key p521_ca.key root.key intermediate.key compressed.key
