package main

// bashWords is appended to cobra's script for bash. That script takes the words of the line from the package
// bash-completion, and fails at each Tab where it is not installed. Without it bash splits words at = and : too, so that
// what stands between two blanks is put together again.
const bashWords = `
__tine_init_completion()
{
    COMPREPLY=()
    if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local i word line=${COMP_LINE:0:COMP_POINT}
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $i -gt 0 && $line != [[:space:]]* ]]; then
            [[ $i -eq $COMP_CWORD ]] && word=$line
            words[cword]+=$word
        else
            line=${line#"${line%%[![:space:]]*}"}
            [[ $i -eq $COMP_CWORD ]] && word=$line
            cword=${#words[@]}
            words[cword]=$word
        fi
        line=${line#"$word"}
    done
    cur=${words[cword]} prev=
    [[ $cword -gt 0 ]] && prev=${words[cword-1]}
    return 0
}
`
