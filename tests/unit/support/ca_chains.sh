#!/usr/bin/env bash
#
# Makes the authorities and servers of test_net_ca_roots.c in directory $1, each named after what is
# special about it: NAME.pem and NAME.key, and NAMEchain.pem for what a server sends beside it.

set -euo pipefail

tree=$(cd "$(dirname "$0")/../../.." && pwd)
cd "$1"

authority=$'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
server='subjectAltName=DNS:localhost,IP:127.0.0.1'
serial=100

key() { [ -f "$1.key" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

root() { # NAME COMMON_NAME CONSTRAINTS [OPTION]...
    local name=$1 subject=/O=Test/CN=$2 constraints=critical,CA:TRUE$3
    shift 3
    key "$name"
    openssl req -x509 -new -key "$name.key" -days 30 -subj "$subject" -out "$name.pem" \
        -addext "basicConstraints=$constraints" -addext keyUsage=critical,keyCertSign,cRLSign "$@"
}

sign() { # NAME ISSUER EXTENSIONS DAYS
    key "$1"
    serial=$((serial + 1))
    openssl req -new -key "$1.key" -subj "/O=Test/CN=$1" -out "$1.csr"
    printf '%s\n' "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -set_serial "$serial" -days "$4" \
        -sha256 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

root root "Test Root" ""
root other "Test Root" "" # the same name, another key
root short Short ,pathlen:0
root narrow Narrow "" -addext "nameConstraints=permitted;DNS:example.org"
openssl genrsa -out sha1.key 2048 2>/dev/null
root sha1 "Old Root" "" -sha1

# `loud` is `root` with its name in capitals and in PrintableString; whom it signs names it so.
printf '[req]\nstring_mask=nombstr\ndistinguished_name=dn\n[dn]\n' >loud.cnf
cp root.key loud.key
root loud "TEST ROOT" "" -config loud.cnf

sign inter root "$authority" 20
sign shortinter short "$authority" 20

sign leaf inter "$server" 10
sign expired inter "$server" -1
sign direct root "$server" 10
sign shouting loud "$server" 10
sign deep shortinter "$server" 10
sign shallow short "$server" 10
sign old sha1 "$server" 10

openssl genrsa -out rsa.key 2048 2>/dev/null
sign rsa root "$server" 10
# A basicConstraints that RFC 5280 forbids: a length of path without a word about an authority.
sign pretender root 'basicConstraints=DER:30:03:02:01:01' 20
sign pretended pretender "$server" 10

key self
openssl req -x509 -new -key self.key -days 9 -out self.pem -subj /CN=self \
    -addext basicConstraints=critical,CA:FALSE -addext "$server"
sign forged self "$server" 10

cp inter.pem leafchain.pem
cp inter.pem expiredchain.pem
cp shortinter.pem deepchain.pem
cp pretender.pem pretendedchain.pem
cp self.pem forgedchain.pem
for name in direct shouting shallow old rsa self; do
    cp root.pem "${name}chain.pem" # openssl wants a file; this one is of no use to anybody
done

cat root.pem short.pem sha1.pem narrow.pem >all.pem
/usr/bin/python3 "$tree/scripts/ca_roots.py" --pem reduced.pem all.pem >report
cat other.pem root.pem >both.pem
echo garbage >garbage.pem
printf '%s\n' '-----BEGIN CERTIFICATE-----' MIIB '-----END CERTIFICATE-----' >damaged.pem
cat garbage.pem damaged.pem root.pem >mixed.pem
