# $0: serve, until-reachable or until-blocked; $1: the address of the server; $2: its port.
# Ends with 0 if the server was reached, or was not reached any more; 3 if it is still reached; 4 if it was never reached;
# 5 if the image has none of the programs.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
has() { command -v "$1" >/dev/null 2>&1; }

if [ "$0" = serve ]; then
    if has python3; then
        exec python3 -c 'import socket, sys
both = socket.has_dualstack_ipv6()
family = socket.AF_INET6 if both else socket.AF_INET
server = socket.create_server(("", int(sys.argv[1])), family=family, dualstack_ipv6=both)
while True:
    client = server.accept()[0]
    try:
        client.settimeout(1)
        client.recv(4096)
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        pass
    client.close()' "$2"
    elif has nc; then
        while :; do nc -l -p "$2" </dev/null >/dev/null 2>&1 || nc -l "$2" </dev/null >/dev/null 2>&1 || sleep 1; done
    fi
    exit 5
fi

case $1 in *:*) host="[$1]" ;; *) host=$1 ;; esac
connect() {
    if has python3; then
        python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()' "$1" "$2" >/dev/null 2>&1
    elif has nc; then
        nc -z -w 2 "$1" "$2" </dev/null >/dev/null 2>&1
    elif has curl; then
        curl -s -o /dev/null --max-time 2 "http://$host:$2/"
    else
        wget -q -T 2 -O /dev/null "http://$host:$2/"
    fi
}
has python3 || has nc || has curl || has wget || exit 5

tries=0 failures=0
while :; do
    if connect "$1" "$2"; then
        [ "$0" != until-reachable ] || exit 0
        failures=0
    else
        # One failure may have another cause.
        failures=$((failures + 1))
        [ "$0" != until-blocked ] || [ "$failures" -lt 3 ] || exit 0
    fi
    tries=$((tries + 1))
    if [ "$0" = until-blocked ]; then
        [ "$tries" -lt 45 ] || exit 3
    else
        [ "$tries" -lt 60 ] || exit 4
    fi
    sleep 1
done
