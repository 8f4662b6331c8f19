# shellcheck shell=sh
# read_configuration FILE: sets and exports what the file says, except variables that are set already: the environment
# wins. The grammar is that of configuration.py; any other line ends the script with the file's name and the line.

read_configuration() {
  _file=$1 _number=0
  [ -e "$_file" ] || return 0
  while IFS= read -r _line || [ -n "$_line" ]; do
    _number=$((_number + 1))
    _trim
    case $_line in
      '' | '#'*) continue ;;
      export[[:blank:]]*)
        _line=${_line#export}
        _trim
        ;;
    esac
    _key=${_line%%=*}
    case $_line in *=*) ;; *) _refuse ;; esac
    case $_key in *[!ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_]*) _refuse ;; DC_?* | U_DB | U_USER | U_PASS) ;; *) _refuse ;; esac
    _value=${_line#*=}
    case $_value in
      "'"*"'"*)
        _value=${_value#"'"}
        _rest=${_value#*"'"}
        _value=${_value%%"'"*}
        ;;
      *)
        _rest=$_value
        _value=${_value%%[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@,+-]*}
        _rest=${_rest#"$_value"}
        ;;
    esac
    case ${_rest#"${_rest%%[![:blank:]]*}"} in '' | '#'*) ;; *) _refuse ;; esac
    eval "_set=\${$_key+yes}"
    [ -n "$_set" ] || eval "export $_key=\"\$_value\""
  done <"$_file"
}

_trim() {
  _line=${_line#"${_line%%[![:space:]]*}"}
  _line=${_line%"${_line##*[![:space:]]}"}
}

_refuse() {
  printf '%s, line %s: not understood: %s\n' "$_file" "$_number" "$_line" >&2
  printf '%s\n' "Write KEY=value with a value of letters, digits and ._:/@,+- , or put the value in single quotes." >&2
  exit 78
}
