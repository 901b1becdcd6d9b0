
# Questions are completed by the node that they would be asked of: stages, datasets, keys, values.
_andon_with_questions() {
    local current=$2 begin line
    if [[ ${COMP_WORDS[1]} != query || $current == -* || $COMP_CWORD -lt 2 ]]; then
        _andon "$@"
        return
    fi
    begin=${current%"${current##*[!A-Za-z0-9_.-]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        # What is proposed brings its own quote.
        [[ $line == \"* ]] && line=${begin%\"}$line || line=$begin$line
        COMPREPLY+=("$line")
    done < <(andon query --complete "$current" 2>/dev/null)
    compopt -o nospace 2>/dev/null
}
complete -F _andon_with_questions -o bashdefault -o default andon
