<?php
// What PHP finds as grant_type in each line: a body in base64.
function texts($value) {
    if (!is_array($value)) {
        return [is_string($value) ? $value : json_encode($value)];
    }
    return array_merge([], ...array_map('texts', array_values($value)));
}
ini_set('display_errors', 'stderr');
while (($line = fgets(STDIN)) !== false) {
    $body = base64_decode(trim($line));
    parse_str($body, $form);
    $json = json_decode($body, true);
    echo json_encode([
        'php form' => isset($form['grant_type']) ? texts($form['grant_type']) : [],
        'php json' => is_array($json) && isset($json['grant_type']) ? texts($json['grant_type']) : [],
    ], JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
