# What programs take for granted without asking. Prints the same on any machine.
set -eu
echo "standard input by its path: $(head -c 20 /dev/stdin | wc -c)"
echo "to standard output by its path" >/dev/stdout
echo "by a file descriptor" >/dev/fd/1
echo "not a result" >/dev/stderr
(yes || [ $? = 141 ]) | head -n 1 # a closed pipe ends a program by a signal, quietly
echo "${PATH%%:*} ${HOME:+has a home} ${LANG:-no language}"
cd "$(mktemp -d)"
touch "$HOME/of-home" a
ln -s a b && ln a c && chmod 600 c && stat -c '%F %a %h' b c
umask
[ ! -t 0 ] && [ ! -t 1 ] && echo "no terminal"
trap 'echo "a signal is handled"' USR1 && kill -USR1 $$
diff <(seq 3) <(printf '1\n2\n3\n') && echo "processes as files"
mkfifo pipe && (echo "through a fifo" >pipe &) && cat pipe
flock a echo "a file is locked"
python3 - <<'PYTHON'
import getpass, os, pathlib, resource, shutil, signal, socket, sqlite3, subprocess, tempfile, threading, time

getpass.getuser()
pathlib.Path.home().joinpath("seen").touch()
print("signals as usual", signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
with socket.create_server(("127.0.0.1", 0)) as server:
    threading.Thread(target=lambda: server.accept()[0].sendall(b"over the loopback")).start()
    print(socket.create_connection(server.getsockname()).recv(100).decode())
with sqlite3.connect("data.db") as database:
    database.execute("create table t (x)")
    database.executemany("insert into t values (?)", ((n,) for n in range(1000)))
    print("a database", database.execute("select sum(x) from t").fetchone())
print("descriptors", resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1024, "processors", os.cpu_count() > 0)
with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory() as folder:
    file.truncate(8 << 20)
    shutil.copy(file.name, folder)
    print("a temporary copy", os.path.getsize(os.path.join(folder, os.path.basename(file.name))))
child = subprocess.Popen(["sleep", "100"], start_new_session=True)
os.killpg(child.pid, signal.SIGTERM)
print("a child ended by", child.wait())
print(time.strftime("%Z %H:%M", time.localtime(0)), shutil.get_terminal_size().columns)
PYTHON
