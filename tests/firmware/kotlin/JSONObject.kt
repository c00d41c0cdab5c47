// Stands for org.json, of which Android has its own: names and types that Segmenter.kt uses.
package org.json
class JSONArray {
    fun length(): Int = TODO()
    fun getInt(i: Int): Int = TODO()
}
class JSONObject(text: String) {
    fun getJSONObject(k: String): JSONObject = TODO()
    fun getJSONArray(k: String): JSONArray = TODO()
    fun getInt(k: String): Int = TODO()
    fun getDouble(k: String): Double = TODO()
}
